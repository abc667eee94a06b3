"""What tests of other scanners ask for, where their scanner's verdict is not it.

scan_capture.py labels a file with what the scanner under test said of it, as
long as the test passed. Some tests ask for less than that, or for nothing: they
want any finding, an error, or that a certain one is missing. Each line is the
name of a test, the name of its file, the label that the test's own assertions
give, None for none, and why. The first line that fits counts. "flagged" leaves
what the scanner itself called clean; "not clean" does not.
"""

import fnmatch

# Labels of scan_corpora.py: "flagged" is not clean, "benign" not dangerous.
ASSERTED = [
    # fickling
    ("*TestExpansionAttackAnalysis::*", "*", "flagged", "asks for SUSPICIOUS or more"),
    # modelaudit: words that the test has told the scanner to forbid
    ("*_with_blacklist", "*", None, "a word that the test forbade"),
    ("*_blacklist_patterns", "*", None, "a word that the test forbade"),
    ("*test_manifest_scanner_*blacklist", "*", None, "a word that the test forbade"),
    ("*test_malicious_files_still_detected", "config.json", "flagged", "words that the test forbade"),
    ("*manifest_name_policy*", "*", None, "a name that the test forbade"),
    # bounds that the test has set, or that are lower than any of use
    ("*_entry_limit", "*", None, "15 members, where the test allows 10"),
    ("*test_max_entries_protection", "*", None, "the reader is a mock, the file is empty"),
    ("*test_max_depth_limit", "*", None, "7 archives within each other, where the test allows 5"),
    ("*TestZipScanner::test_zip_bomb_detection", "*", None, "300 KB of one letter"),
    ("*_enforces_decompression_ratio_limit", "*", None, "a bound that the test has set"),
    # readers that the test has taken away or replaced: the file is empty, or no more than a mark
    ("*test_missing_yaml_dependency*", "*", None, "asks what happens without a YAML reader"),
    ("*SevenZipScanner*mocked*", "*", None, "the reader is a mock, the file is empty"),
    ("*SevenZipScanner*without_py7zr", "*", None, "the reader is a mock, the file is empty"),
    ("*SevenZipScanner*extraction_error", "*", None, "the reader is a mock, the file is empty"),
    ("*SevenZipScanner*unsafe_entries*", "*", None, "the reader is a mock, the file is empty"),
    ("*SevenZipScanner*large_extracted*", "*", None, "the reader is a mock, the file is empty"),
    ("*test_tflite_scanner_*", "*", None, "the reader is a mock, the file is a mark and zeros"),
    ("*test_weak_hash_detection*", "*", None, "is about MD5 and SHA-1 in settings"),
    # files that the test calls harmless, and the scanner does not
    ("*TestSafeCorpus::*", "*", "benign", "wants the file to be safe"),
    ("*test_safe_nested_pickle_no_false_positives", "*", "benign", "asks that it is no false positive"),
    ("*test_scan_bin_without_pkl_extension", "*", "benign", "asks which scanner was taken"),
    ("*test_license_scenarios_integration", "*", "benign", "is about licences"),
    ("*test_webbrowser_not_false_positive*", "*", "benign", "asks that it is no false positive"),
    ("*test_flax_msgpack_orbax_format_detection", "*", "benign", "asks for the format alone"),
    ("*test_real_joblib_compressed", "*", "benign", "takes either answer, of plain data"),
    # a finding is asked to be missing, of files that are not harmless
    ("*test_no_cve_for_fixed_keras_version", "*", None, "asks that no CVE is named; there is a Lambda layer"),
    ("*test_paddle_scanner_detects_suspicious_pattern", "*", "not clean", "asks for a finding"),
    ("*SevenZipScanner::test_scan_malicious_archive", "*", "not clean", "the reader is a mock, the file has a pickle that calls"),
    # any finding will do
    ("*test_mixed_directory_nested_pickle_scan", "*", "flagged", "asks for a finding"),
    ("*test_nested_pickle_edge_cases", "*", "flagged", "asks for a finding"),
    ("*test_performance_nested_pickle_scanning", "simple_nested.pkl", "flagged", "asks for no more than 0 findings"),
    ("*TestNetworkCommIntegration::*", "*", "flagged", "asks for findings about words of networks"),
    ("*test_mixed_content_handling", "*", "flagged", "asks for a finding"),
    ("*test_bin_file_with_exec_pattern", "*", "flagged", "asks for a finding"),
    ("*TestMaliciousCorpus::*safetensors*", "*", "flagged", "asks for a finding"),
    ("*test_webbrowser_*_detection", "*", "flagged", "asks for a finding"),
    ("*test_mixed_suspicious_patterns", "*", "flagged", "asks for findings"),
    ("*test_multiple_distinct_patterns", "*", "flagged", "asks for findings"),
    ("*test_pickle_with_embedded_secret", "*", "flagged", "asks for a finding"),
    ("*test_detect_cve_2026_24747_*", "*", "flagged", "asks for a finding"),
    ("*test_joblib_scanner_cve_detection", "*", "not clean", "asks for a finding"),
    ("*test_detect_cve_2020_13092_joblib_with_system_call", "*", "flagged", "asks for a finding"),
    ("*CVE202523304HydraTarget::test_suspicious_pattern_detected", "*", "flagged", "asks for a finding"),
    ("*test_executable_files_in_zip", "*", "flagged", "asks for findings"),
    ("*test_case_insensitive_suspicious_extension_detection", "*", "flagged", "asks for findings"),
    ("*test_pytorch_zip_cve_*_version*", "*", "flagged", "asks for a finding about the release of torch that wrote the file"),
    # the scanner's own reader fails, which is what the test is about
    ("*invalid*", "*", "flagged", "is about an error of the reader"),
    ("*corrupt*", "*", "flagged", "is about an error of the reader"),
    ("*_empty_file*", "*", "flagged", "is about an error of the reader"),
    ("*_not_a_directory", "*", "flagged", "is about an error of the reader"),
    ("*test_bad_offsets", "*", "flagged", "is about an error of the format"),
    ("*test_deeply_nested_header", "*", "flagged", "is about an error of the reader"),
]


def asserted(test, name, label):
    """The label of a file, and why it is not what its scanner said, or None."""
    for test_pattern, name_pattern, other, why in ASSERTED:
        if fnmatch.fnmatch(test, test_pattern) and fnmatch.fnmatch(name, name_pattern):
            if other == "flagged" and label == "clean":
                other = label
            if other == "not clean":
                other = "flagged"
            return other, why if other != label else None
    return label, None
