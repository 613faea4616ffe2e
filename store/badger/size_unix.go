//go:build unix

package badger

import (
	"io/fs"
	"syscall"
)

// onDisk is what a file takes: badger's logs are sparse, their length says
// nothing.
func onDisk(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Blocks) * 512
	}
	return uint64(info.Size())
}
