package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	kv "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables looks at the end of every table that the manifest names. Badger
// panics in goroutines of its own where that is damaged, which nobody can catch.
func checkTables(opt kv.Options) error {
	f, err := os.Open(filepath.Join(opt.Dir, kv.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a new database
	} else if err != nil {
		return err
	}
	defer f.Close()
	manifest, end, err := kv.ReplayManifestFile(f, opt.ExternalMagicVersion, opt)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != end {
		if err := checkCut(opt.Dir, manifest); err != nil {
			return err
		}
	}
	for id := range manifest.Tables {
		if err := checkTable(table.NewFilename(id, opt.Dir)); err != nil {
			return err
		}
	}
	return nil
}

// checkCut looks at a manifest whose last change is not whole. After a power
// loss that is in order: the change is in a log yet. After a clean end there are
// no logs, and badger would delete the tables that the manifest forgot.
func checkCut(dir string, manifest kv.Manifest) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(logs) > 0 {
		return err
	}
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err == nil && len(tables) > len(manifest.Tables) {
		err = errors.New("the manifest is cut")
	}
	return err
}

var errTable = errors.New("table is cut or altered")

// checkTable verifies a table's index. A table ends in: index, its length,
// checksum, its length.
func checkTable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open table: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open table: %w", err)
	}
	end := info.Size()
	take := func(n int64) []byte {
		if n < 0 || n > end {
			return nil
		}
		end -= n
		buf := make([]byte, n)
		if _, err := f.ReadAt(buf, end); err != nil {
			return nil
		}
		return buf
	}
	length := func() int64 {
		if b := take(4); b != nil {
			return int64(binary.BigEndian.Uint32(b))
		}
		return -1
	}
	sum, ok := tableSum(take(length()))
	index := take(length())
	if !ok || index == nil || crc32.Checksum(index, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return fmt.Errorf("check %s: %w", path, errTable)
	}
	return nil
}

// tableSum reads badger's checksum message of kind CRC-32C: field 2, a varint.
func tableSum(message []byte) (uint32, bool) {
	if len(message) < 2 || message[0] != 2<<3 {
		return 0, false
	}
	sum, n := binary.Uvarint(message[1:])
	return uint32(sum), n == len(message)-1 && sum>>32 == 0
}

// dropUnmade removes logs without a byte. A process that dies just after it made
// a log, or just before it removes one, leaves them; badger does not open then.
// They hold nothing: a log has its full length before anything is written to it.
func dropUnmade(dir string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		logs, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		for _, path := range logs {
			if info, err := os.Lstat(path); err != nil || info.Size() > 0 {
				continue
			}
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("remove empty log: %w", err)
			}
		}
	}
	return nil
}
