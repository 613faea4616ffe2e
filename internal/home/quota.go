package home

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tipmesh/tipmesh/node"
)

const quotaFile = "quota"

// ParseBytes reads a number of bytes: a whole number and, if wanted, KiB, MiB,
// GiB or TiB.
func ParseBytes(text string) (uint64, error) {
	digits := strings.TrimRight(text, "KMGTiB")
	shift, known := map[string]uint{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[text[len(digits):]]
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
	if err != nil || !known || n == 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is no number of bytes such as 500MiB, 16GiB or 2TiB", text)
	}
	return n << shift, nil
}

// chooseQuota decides what others may take of the disk: as asked, else as kept,
// else the defaults. What was asked for is kept.
func chooseQuota(dir string, asked node.Quota) (node.Quota, error) {
	q, err := readQuota(dir)
	if err != nil {
		return q, err
	}
	before := q
	if asked.Member > 0 {
		q.Member = asked.Member
	}
	if asked.All > 0 {
		q.All = asked.All
	}
	if q == before {
		return q, nil
	}
	text := ""
	if q.Member > 0 {
		text += fmt.Sprintf("member %d\n", q.Member)
	}
	if q.All > 0 {
		text += fmt.Sprintf("all %d\n", q.All)
	}
	if err := writeSmall(filepath.Join(dir, quotaFile), []byte(text)); err != nil {
		return q, fmt.Errorf("keep disk quotas: %w", err)
	}
	return q, nil
}

// readQuota gives the quotas that were kept: a line "member BYTES" and a line "all
// BYTES", or one of them.
func readQuota(dir string) (q node.Quota, err error) {
	path := filepath.Join(dir, quotaFile)
	raw, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return q, nil
	} else if err != nil {
		return q, fmt.Errorf("open home: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" {
			continue
		}
		n, err := ParseBytes(strings.TrimSpace(text))
		switch {
		case err == nil && name == "member":
			q.Member = n
		case err == nil && name == "all":
			q.All = n
		default:
			return q, damaged(path, `it must say "member 16GiB" and "all 64GiB", a line each; remove it for the defaults, or give --member-quota and --quota`, err)
		}
	}
	return q, nil
}
