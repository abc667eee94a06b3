package scan

// repository looks at what files are to each other.
func (s *scanner) repository(root string) {}
