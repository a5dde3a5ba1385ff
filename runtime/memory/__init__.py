"""MEMORY: the guest's memory map, where its pages are in the host, mmap(2) and friends, and access to its bytes."""
