package scan

import (
	"fmt"
	"math/bits"
)

// symbolTable reads the members of a group of the old kind: a tree of nodes,
// whose leaves name nodes of symbols (III.A.1, III.B).
func (h *hdf5File) symbolTable(o hdf5Object, tree, heap uint64) error {
	names, _, err := h.localHeap(heap)
	if err != nil {
		return err
	}
	met := map[uint64]bool{tree: true}
	for queue := []uint64{tree}; len(queue) > 0 && h.t.ctx.Err() == nil; queue = queue[1:] {
		c, err := h.read(queue[0], uint64(8+2*h.offset))
		if err != nil {
			return err
		}
		if c.is("TREE") {
			kind, level, n := c.number(1), c.number(1), c.number(2)
			if kind != 0 {
				return fmt.Errorf("a tree of type %d: %w", kind, errHDF5)
			}
			c, err = h.read(queue[0]+uint64(8+2*h.offset), n*uint64(h.length+h.offset))
			if err != nil {
				return err
			}
			for range n {
				c.size() // a name, which orders them
				child := c.address()
				if met[child] {
					return fmt.Errorf("a tree that comes back to itself: %w", errHDF5)
				}
				if len(met) == maxObjects {
					return errBudget
				}
				met[child] = true
				queue = append(queue, child)
			}
			_ = level
			continue
		}
		if err := h.symbols(o, queue[0], names); err != nil {
			return err
		}
	}
	return nil
}

func (h *hdf5File) symbols(o hdf5Object, address uint64, names []byte) error {
	c, err := h.read(address, 8)
	if err != nil {
		return err
	}
	if !c.is("SNOD") || c.number(1) != 1 {
		return fmt.Errorf("a node of symbols: %w", errHDF5)
	}
	c.take(1)
	n := c.number(2)
	c, err = h.read(address+8, n*uint64(2*h.offset+24))
	if err != nil {
		return err
	}
	for range n {
		name, err := h.heapText(names, c.number(h.offset))
		object, kind := c.address(), c.number(4)
		c.take(4 + 16)
		if err != nil {
			return err
		}
		if kind != 2 { // no soft link
			h.push(object, o.path+clip(name, 100)+"/")
		}
	}
	return nil
}

// denseLinks reads the links of a group that lie in a heap (IV.A.2.c).
func (h *hdf5File) denseLinks(o hdf5Object, c hdf5Cursor) error {
	return h.denseInfo(c, 8, 5, 4, 7, func(object hdf5Cursor) error { return h.link(o, object) })
}

// denseAttributes reads the attributes of an object that lie in a heap
// (IV.A.2.v).
func (h *hdf5File) denseAttributes(o hdf5Object, c hdf5Cursor) error {
	return h.denseInfo(c, 2, 8, 0, 8, func(object hdf5Cursor) error { return h.attribute(o, object) })
}

// denseInfo is dense for the heap and the tree that a message names, behind an
// index of order bytes if it has one.
func (h *hdf5File) denseInfo(c hdf5Cursor, order uint64, kind, skip, idLen int, visit func(hdf5Cursor) error) error {
	c.take(1)
	if flags := c.number(1); flags&1 != 0 {
		c.take(order)
	}
	heap, tree := c.address(), c.address()
	if c.bad {
		return errHDF5
	}
	return h.dense(heap, tree, kind, skip, idLen, visit)
}

// dense calls visit for every object of a heap that a tree names. A record of
// the tree has the object's id, of idLen bytes, behind skip others.
func (h *hdf5File) dense(heap, tree uint64, kind, skip, idLen int, visit func(hdf5Cursor) error) error {
	if heap == 1<<64-1 {
		return nil // all of them are in the header
	}
	f, err := h.fractal(heap)
	if err != nil {
		return err
	}
	n := 0
	return h.tree2(tree, kind, func(record hdf5Cursor) error {
		if n++; n > maxDense {
			return errBudget
		}
		record.take(uint64(skip))
		id := record.take(uint64(idLen))
		if kind == 8 && record.number(1)&2 != 0 {
			return fmt.Errorf("a shared attribute %w", errUnread)
		}
		if record.bad {
			return errHDF5
		}
		object, err := f.object(id)
		if err != nil {
			return err
		}
		return visit(object)
	})
}

// tree2 calls visit for the records of a tree of version 2 (III.A.2).
func (h *hdf5File) tree2(address uint64, kind int, visit func(hdf5Cursor) error) error {
	c, err := h.read(address, uint64(16+h.offset+2+h.length))
	if err != nil {
		return err
	}
	if !c.is("BTHD") || c.number(1) != 0 || c.number(1) != uint64(kind) {
		return fmt.Errorf("a tree of version 2: %w", errHDF5)
	}
	size, width, depth := c.number(4), c.number(2), c.number(2)
	c.take(2)
	root, n := c.address(), c.number(2)
	if root == 1<<64-1 {
		return nil
	}
	if width == 0 || size < 16 || size > 1<<20 || depth > 16 {
		return fmt.Errorf("a tree of version 2: %w", errHDF5)
	}
	// How wide the counts of a child are follows from how much fits into a node.
	counts, sums := make([]int, depth+1), make([]int, depth+1) // bytes of them, by the depth of the child
	most := (size - 10) / width
	total := most
	counts[0] = limitWidth(most)
	for d := 1; d <= int(depth); d++ {
		counts[d] = counts[0]
		pointer := uint64(h.offset + counts[0] + sums[d-1])
		if size < 10+pointer {
			return errHDF5
		}
		most = (size - 10 - pointer) / (width + pointer)
		hi, lo := bits.Mul64(most+1, total)
		if hi != 0 || lo > 1<<62 {
			return errHDF5
		}
		total = lo + most
		sums[d] = limitWidth(total)
	}
	type node struct {
		address, n uint64
		depth      int
	}
	met := 0
	for stack := []node{{root, n, int(depth)}}; len(stack) > 0 && h.t.ctx.Err() == nil; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if met++; met > maxObjects {
			return errBudget
		}
		c, err := h.read(at.address, size)
		if err != nil {
			return err
		}
		mark := "BTLF"
		if at.depth > 0 {
			mark = "BTIN"
		}
		if !c.is(mark) || c.number(1) != 0 || c.number(1) != uint64(kind) {
			return fmt.Errorf("a node of a tree: %w", errHDF5)
		}
		for range at.n {
			record := hdf5Cursor{h: h, at: c.at, p: c.take(width)}
			if c.bad {
				return errHDF5
			}
			if err := visit(record); err != nil {
				return err
			}
		}
		if at.depth == 0 {
			continue
		}
		for range at.n + 1 {
			child := node{address: c.address(), n: c.number(counts[0]), depth: at.depth - 1}
			if at.depth > 1 {
				c.number(sums[at.depth-1])
			}
			if c.bad {
				return errHDF5
			}
			stack = append(stack, child)
		}
	}
	return nil
}
