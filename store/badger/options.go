package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	kv "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Sizes. A node must stay small, and badger's transactions hold 15 % of a
// memtable.
const (
	memTableSize   = 8 << 20
	memTableIndex  = 16 << 20 // larger ones cost more to search than they save in compaction
	valueLogSize   = 64 << 20
	valueThreshold = 16 << 10 // headers and small payloads stay in the tree, which costs one sync a commit; what goes to the value log costs two
)

// baseOptions is what both databases have in common.
func baseOptions(dir string, cfg Config, log kv.Logger) kv.Options {
	o := kv.DefaultOptions(dir)
	o.Logger = log
	o.MetricsEnabled = false
	o.DetectConflicts = false // there is one writer
	o.EncryptionKey = cfg.Key
	o.ReadOnly = cfg.ReadOnly
	o.MemTableSize = memTableSize
	o.NumMemtables = 2
	o.NumCompactors = 2
	o.Compression = options.None // payloads are sealed, keys are hashes
	o.ChecksumVerificationMode = options.OnBlockRead
	o.BlockCacheSize = 8 << 20
	o.IndexCacheSize = 4 << 20
	return o
}

func entriesOptions(dir string, cfg Config, log kv.Logger) kv.Options {
	o := baseOptions(dir, cfg, log)
	o.SyncWrites = true
	o.ValueThreshold = valueThreshold
	o.ValueLogFileSize = valueLogSize
	if cfg.small {
		o.ValueLogFileSize = 8 << 20
	}
	o.VerifyValueChecksum = true
	return o
}

func indexOptions(dir string, cfg Config, log kv.Logger) kv.Options {
	o := baseOptions(dir, cfg, log)
	o.SyncWrites = false
	o.ValueThreshold = 64 << 10 // nearly every row stays in the tree
	o.MemTableSize = memTableIndex
	o.BloomFalsePositive = 0.002 // most keys asked for when objects come are not there
	o.BlockCacheSize = 64 << 20  // look-ups are by hash, all over the tree
	o.IndexCacheSize = 256 << 20 // of all tables, or each look-up decrypts one; it grows with the tree only
	o.ValueLogFileSize = valueLogSize
	if cfg.small {
		o.ValueLogFileSize = 1 << 20
	}
	return o
}

// watch is badger's logger. Badger only logs that it could not sync its value
// log; here that is remembered, since it breaks the promise of Commit.
type watch struct{ failed atomic.Pointer[error] }

// Errorf keeps failed syncs.
func (w *watch) Errorf(format string, args ...any) {
	if strings.Contains(format, "curlf sync") {
		err := fmt.Errorf(strings.TrimSpace(format), args...)
		w.failed.CompareAndSwap(nil, &err)
	}
}

// Warningf is silent.
func (w *watch) Warningf(string, ...any) {}

// Infof is silent.
func (w *watch) Infof(string, ...any) {}

// Debugf is silent.
func (w *watch) Debugf(string, ...any) {}

// err is the first failed sync.
func (w *watch) err() error {
	if p := w.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Reasons why a database does not open.
var (
	// ErrKey means the key is not the one the database was made with.
	ErrKey = errors.New("the key does not fit")
	// ErrInUse means another process, or this one, has the database open.
	ErrInUse = errors.New("in use by another process")
	// ErrDamaged means files of the database are missing, cut or altered.
	ErrDamaged = errors.New("damaged")
)

// openDB opens one database and says in its error which one, where and why.
func openDB(name string, opt kv.Options) (db *kv.DB, err error) {
	// Badger panics on some damage.
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("open %s database in %s: %w: %v", name, opt.Dir, ErrDamaged, r)
		}
	}()
	if !opt.ReadOnly {
		if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make folder of %s database: %w", name, err)
		}
	}
	if err = checkTables(opt); err == nil && !opt.ReadOnly {
		err = dropUnmade(opt.Dir)
	}
	if err == nil {
		db, err = kv.Open(opt)
	}
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, kv.ErrEncryptionKeyMismatch):
		err = ErrKey
	case strings.Contains(err.Error(), "acquire directory lock"):
		err = ErrInUse
	case errors.Is(err, fs.ErrPermission):
	default:
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil, fmt.Errorf("open %s database in %s: %w", name, opt.Dir, err)
}

// restrict takes the rights of others from a folder and the files in it. Badger
// makes later files with the process's umask; the folder's mode covers those.
func restrict(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		if err := os.Chmod(path, mode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
