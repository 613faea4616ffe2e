//go:build linux || darwin || freebsd

package badger

import "syscall"

// diskSpace is what this user may still write on the disk of a folder.
func diskSpace(dir string) (free, total uint64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, false
	}
	size := uint64(st.Bsize)
	return uint64(max(0, int64(st.Bavail))) * size, st.Blocks * size, true
}
