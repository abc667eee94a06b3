#!/usr/bin/env python3
"""Run with Debian's torch 1.13: /usr/bin/python3 make_old.py"""
import common_cases, expect

s = expect.Suite("make_old.py", "torch113")
common_cases.all_cases(s)
s.close()

p = expect.Suite("make_old.py published", "published")
p.expect("published_lpips_alex_v0.1.pth", "torch-legacy", note="lpips 0.1.4, weights/v0.1/alex.pth, written by Python 2")
p.close()
