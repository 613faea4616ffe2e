package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// runLists shares published lists, file by file as an author would, and counts what
// goes over the link.
func runLists(ctx context.Context, p *plan, r *report) (err error) {
	files, text, err := published(p.lists)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		r.note("Published lists: left out, there are none in %s (-lists names another folder).", p.lists)
		return nil
	}
	if err := setLoopback(ethernetMTU, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, setLoopback(wideMTU, true)) }()
	w, err := newPair(ctx, p, "lists", "QUIC_GO_DISABLE_GSO=true")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	before, err := carried()
	if err != nil {
		return err
	}
	a0, err := w.author.client.Status(ctx, "", 0)
	if err != nil {
		return err
	}
	b0, err := w.reader.client.Status(ctx, "", 0)
	if err != nil {
		return err
	}
	began, found, fresh := time.Now(), 0, 0
	for i, name := range files {
		s, err := w.author.client.Share(ctx, api.ShareRequest{Body: bytes.NewReader(text[i]), Name: filepath.Base(name), To: "everyone", TLP: "green"})
		if err != nil {
			p.say("%s is not shared: %v", name, err)
			continue
		}
		for _, n := range s.Found {
			found += n
		}
		fresh += s.New
	}
	a1, err := w.author.client.Status(ctx, "", 0)
	if err != nil {
		return err
	}
	if err := w.reader.indexed(ctx, b0.Store.Arrivals+a1.Store.Arrivals-a0.Store.Arrivals); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := carried()
	if err != nil {
		return err
	}
	if fresh == 0 {
		return errors.New("nothing was found in the lists")
	}
	bare, err := compressed(bytes.Join(text, []byte("\n")))
	if err != nil {
		return err
	}
	each := float64(after-before) / float64(fresh)
	r.add(row{work: fmt.Sprintf("%d published lists, one share each: bytes on the link for each of %s indicators", len(files), grouped(fresh)), ours: fmt.Sprintf("%.1f B", each),
		peer: fmt.Sprintf("the bare files together, zstd: %.1f B", float64(bare)/float64(fresh)), ratio: each * float64(fresh) / float64(bare)})
	r.note("Published lists: %d files of %s with %s values, %s of them new; queryable at the other member %s after the first call (%s of them).",
		len(files), size(float64(len(bytes.Join(text, nil)))), grouped(found), grouped(fresh), brief(took), rate(fresh, took))
	return nil
}

// published reads the files of a folder; none where there is no folder.
func published(dir string) (files []string, text [][]byte, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == dir:
			return nil
		case err != nil:
			return err
		case d.IsDir():
			return nil
		}
		files = append(files, path)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("look for lists: %w", err)
	}
	slices.Sort(files)
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("read list: %w", err)
		}
		text = append(text, b)
	}
	return files, text, nil
}
