package badger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// A copy of the entries database is a stream:
//
//	magic || format (1 byte) || record* || 0x00 || number of records (8 bytes) || SHA-256 of all before
//
// with a record as length of key, key, length of value, value; lengths are
// uvarints, a key has at least one byte.
const (
	copyMagic  = "tipmesh-store-1\n"
	maxCopyKey = 2 << 10 // settings have the longest
)

// ErrCopy means that a copy is cut, altered or none.
var ErrCopy = errors.New("the copy of the store is damaged")

var _ store.Copier = (*Store)(nil)

// Copy writes the entries database as it is at this moment; commits go on
// meanwhile and are not in it. It is one read transaction: badger's own Backup
// reads with several, each of its own moment, and may tear a commit apart. The
// index is left out, since it is made again.
func (s *Store) Copy(ctx context.Context, w io.Writer) error {
	c := &copyWriter{sum: sha256.New(), w: bufio.NewWriterSize(w, 1<<20)}
	err := s.view(func(txn *kv.Txn) error {
		c.write([]byte(copyMagic))
		c.write([]byte{entriesFormat})
		// The reader on the other side learns that the moment is fixed.
		if err := c.w.Flush(); err != nil {
			return err
		}
		// Values are read one by one: prefetched payloads would take much memory.
		return scan(txn, nil, nil, false, func(item *kv.Item) (bool, error) {
			if key := item.Key(); key[0] != keyMeta {
				if err := item.Value(func(value []byte) error { return c.record(key, value) }); err != nil {
					return false, err
				}
			}
			return true, ctx.Err()
		})
	})
	if err == nil {
		err = c.end()
	}
	if err != nil {
		return fmt.Errorf("copy store: %w", err)
	}
	return nil
}

type copyWriter struct {
	w     *bufio.Writer
	sum   hash.Hash
	count uint64
	err   error
}

func (c *copyWriter) write(parts ...[]byte) {
	for _, p := range parts {
		c.sum.Write(p)
		if c.err == nil {
			_, c.err = c.w.Write(p)
		}
	}
}

func (c *copyWriter) record(key, value []byte) error {
	c.count++
	c.write(binary.AppendUvarint(nil, uint64(len(key))), key, binary.AppendUvarint(nil, uint64(len(value))), value)
	return c.err
}

func (c *copyWriter) end() error {
	c.write([]byte{0}, binary.BigEndian.AppendUint64(nil, c.count))
	c.write(c.sum.Sum(nil))
	if c.err == nil {
		c.err = c.w.Flush()
	}
	return c.err
}

// readCopy calls fn for every record of a copy, and fails with ErrCopy unless all
// of it is there.
func readCopy(r io.Reader, fn func(key, value []byte) error) error {
	c := &copyReader{r: bufio.NewReaderSize(r, 1<<20), sum: sha256.New()}
	head := c.take(uint64(len(copyMagic) + 1))
	if c.err == nil && !bytes.Equal(head, append([]byte(copyMagic), entriesFormat)) {
		return fmt.Errorf("%w: its format is unknown to this version of tipmesh", ErrCopy)
	}
	for count := uint64(0); c.err == nil; count++ {
		n := c.length(maxCopyKey)
		if c.err == nil && n == 0 {
			return c.finish(count)
		}
		key := c.take(n)
		value := c.take(c.length(protocol.MaxPayload))
		if c.err == nil {
			if err := fn(key, value); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%w: %w", ErrCopy, c.err)
}

type copyReader struct {
	r   *bufio.Reader
	sum hash.Hash
	err error
}

func (c *copyReader) length(most uint64) uint64 {
	if c.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(c.r)
	switch {
	case err != nil:
		c.err = err
	case n > most:
		c.err = fmt.Errorf("a length of %d", n)
	default:
		c.sum.Write(binary.AppendUvarint(nil, n))
		return n
	}
	return 0
}

func (c *copyReader) take(n uint64) []byte {
	if c.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, c.err = io.ReadFull(c.r, b); c.err != nil {
		return nil
	}
	c.sum.Write(b)
	return b
}

func (c *copyReader) finish(count uint64) error {
	said := c.take(8)
	want := c.sum.Sum(nil)
	got := c.take(sha256.Size)
	if c.err != nil {
		return fmt.Errorf("%w: %w", ErrCopy, c.err)
	}
	if binary.BigEndian.Uint64(said) != count || !bytes.Equal(got, want) {
		return fmt.Errorf("%w: its checksum is another", ErrCopy)
	}
	return nil
}

// CheckCopy reads a copy to its end and gives the number of its records. It fails
// with ErrCopy unless all of it is there.
func CheckCopy(r io.Reader) (records uint64, err error) {
	err = readCopy(r, func(_, _ []byte) error {
		records++
		return nil
	})
	return records, err
}

// Restore makes a store from a copy, in a folder that holds none, with arrival
// numbers as they were but another incarnation. What is left after an error is not
// to be used.
func Restore(cfg Config, r io.Reader) (err error) {
	dir := filepath.Join(cfg.Dir, "entries")
	if len(cfg.Key) != 32 {
		return fmt.Errorf("restore store: key of %d bytes, want 32", len(cfg.Key))
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("restore store: %s is there already", dir)
	}
	s := &Store{cfg: cfg, log: new(watch), folder: folder{dir: dir}}
	if s.db, err = openDB("entries", entriesOptions(dir, cfg, s.log)); err != nil {
		return fmt.Errorf("restore store: %w", err)
	}
	t := transaction{s: s}
	defer t.discard()
	if err = s.loadMeta(true); err == nil {
		err = readCopy(r, func(key, value []byte) error {
			if key[0] == keyMeta {
				return fmt.Errorf("%w: it brings an incarnation", ErrCopy)
			}
			return t.add(unit{{key, value}})
		})
	}
	if err == nil {
		err = t.commit()
	}
	if err = errors.Join(err, s.db.Close()); err != nil {
		return fmt.Errorf("restore store: %w", err)
	}
	return nil
}
