//go:build !unix

package badger

import "io/fs"

func onDisk(info fs.FileInfo) uint64 { return uint64(info.Size()) }
