package warninglist

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// Stamp tells states of a folder apart without reading the lists: by their
// paths, sizes and times. The error is for a folder that cannot be read.
func Stamp(fsys fs.FS) (string, error) {
	names, err := find(fsys)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, name := range names {
		info, err := fs.Stat(fsys, name)
		if err != nil {
			fmt.Fprintf(h, "%q %v\n", name, err)
			continue
		}
		fmt.Fprintf(h, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
