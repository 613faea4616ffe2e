package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/carry"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

func newVerifyCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Check everything in the store, or who signed a file",
		Long: `Read everything in the store again and check it: signatures, hash chains,
payloads, statements, the roster. The node may run meanwhile or not. With a file
that "tipmesh show REF --entry --out FILE" or "tipmesh carry out" wrote, say who
signed what is in it; no node and no home are needed for that.`,
		Example: example("tipmesh verify", "tipmesh verify talos.entry"),
		Args:    countArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return runVerifyFile(gopts, args[0])
			}
			return runVerify(cmd.Context(), gopts)
		},
	}
}

func runVerify(ctx context.Context, gopts *GlobalOptions) error {
	stop := gopts.progress(ctx, func() string { return "reading everything again" })
	v, err := verifyHome(ctx, gopts)
	stop()
	if err != nil {
		return err
	}
	if gopts.JSON {
		err = gopts.print(v)
	} else {
		sayVerified(gopts, v)
	}
	if err == nil && !v.Intact {
		err = exit(api.ExitNothing)
	}
	return err
}

// verifyHome asks the running node, or opens the home where none runs.
func verifyHome(ctx context.Context, gopts *GlobalOptions) (v *api.Verified, err error) {
	err = gopts.withClient(func(c *api.Client) error {
		v, err = c.Verify(ctx)
		return err
	})
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeUnavailable || ctx.Err() != nil {
		return v, err
	}
	dir, err := gopts.home()
	if err != nil {
		return nil, err
	}
	pass, err := gopts.passphrase()
	if err != nil {
		return nil, err
	}
	h, err := home.Open(dir, home.Options{Passphrase: pass})
	if err != nil {
		return nil, err
	}
	v, err = api.Verify(ctx, h.Node, time.Now)
	return v, errors.Join(err, h.Close())
}

func sayVerified(gopts *GlobalOptions, v *api.Verified) {
	state := "whole"
	if !v.Intact {
		state = plural(v.Faults, "fault", "faults")
	}
	gopts.sayf("%s, %s, %s, %s: %s. %s. %s.", plural(v.Feeds, "feed", "feeds"), plural(v.Entries, "entry", "entries"),
		plural(v.Statements, "statement", "statements"), plural(v.Members, "member", "members"), state,
		plural(len(v.Forks), "fork", "forks"), lasting(time.Duration(v.TookS*float64(time.Second))))
	if v.Absent > 0 {
		gopts.sayf("  %s without payload here, as said", plural(v.Absent, "entry", "entries"))
	}
	for i, d := range v.Damaged {
		if i == listed {
			gopts.sayf("  and %s more: --json lists them", grouped(v.Faults-listed))
			break
		}
		at := ""
		if d.Feed != "" {
			at = " " + grouped(d.Seq) + " of feed " + cut(d.Feed, 10)
		}
		gopts.sayf("  %s%s: %s", clean(d.What), at, clean(d.Text))
	}
	for _, f := range v.Forks {
		gopts.sayf("  fork     node %s of %s, feed %s at %d, resolved: %v", clean(f.Node), nameOf(f.Member), cut(f.Feed, 10), f.Seq, f.Resolved)
	}
	if !v.Intact {
		gopts.notef("hint: what is damaged here others still hold. Restore a backup to another home, or join as a new node; keep this folder.")
	}
}

// verifiedFile is what verify answers about a file.
type verifiedFile struct {
	Kind       string        `json:"kind"` // verify_file
	Mesh       api.MeshName  `json:"mesh"`
	Ours       *bool         `json:"ours,omitempty"` // of this home's mesh; absent where there is no home
	Time       time.Time     `json:"time,omitzero"`
	Statements int           `json:"statements"`
	Members    int           `json:"members"`
	Entries    int           `json:"entries"`
	Damaged    int           `json:"damaged"`
	Beyond     int           `json:"beyond"`  // after the end of their feed
	Unknown    int           `json:"unknown"` // of nodes that no card in the file names
	Whole      bool          `json:"whole"`
	Fault      string        `json:"fault,omitempty"`
	Intact     bool          `json:"intact"`
	Signed     []signedEntry `json:"signed"` // the first 1,000
}

type signedEntry struct {
	Member *api.Name `json:"member,omitempty"`
	State  string    `json:"state,omitempty"` // of the member, by the file
	Node   string    `json:"node,omitempty"`
	Feed   string    `json:"feed,omitempty"`
	Seq    uint64    `json:"seq,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Kind   string    `json:"entry,omitempty"`
	Bytes  int       `json:"bytes"` // of the payload; -1 where it is not in the file
	Intact bool      `json:"intact"`
	Beyond bool      `json:"beyond,omitempty"`
	Fault  string    `json:"fault,omitempty"`
}

// entryKinds names kinds of entries.
var entryKinds = map[protocol.EntryKind]string{protocol.EntrySealed: "sealed", protocol.EntryDirect: "direct",
	protocol.EntryErase: "erase", protocol.EntryClose: "close"}

func runVerifyFile(gopts *GlobalOptions, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fail(api.CodeInvalid, "", "%v", err)
	}
	defer f.Close()
	r, err := carry.Verify(f)
	if err != nil {
		return err
	}
	mesh := r.Mesh.String()
	out := verifiedFile{Kind: "verify_file", Mesh: api.MeshName{ID: mesh, Ref: "mesh:" + protocol.RefCode(mesh, 5), Name: r.Name},
		Time: time.UnixMilli(r.Time).UTC(), Statements: r.Statements, Members: r.Members, Entries: r.Entries, Damaged: r.Damaged, Beyond: r.Beyond,
		Unknown: r.Unattached, Whole: r.Whole, Intact: r.Intact(), Signed: []signedEntry{}}
	if r.Fault != nil {
		out.Fault = r.Fault.Error()
	}
	if dir, err := gopts.home(); err == nil {
		if id, err := home.MeshOf(dir); err == nil {
			ours := id == r.Mesh
			out.Ours = &ours
		}
	}
	for _, s := range r.List {
		out.Signed = append(out.Signed, signedOf(s))
	}
	if gopts.JSON {
		err = gopts.print(out)
	} else {
		sayVerifiedFile(gopts, &out)
	}
	if err == nil && (!out.Intact || out.Ours != nil && !*out.Ours) {
		err = exit(api.ExitNothing)
	}
	return err
}

func signedOf(s carry.Signed) signedEntry {
	e := signedEntry{Bytes: s.Size, Intact: s.Fault == nil, Beyond: s.Beyond}
	if h := s.Header; h != nil {
		e.Node, e.Feed, e.Seq, e.Time, e.Kind = transport.PeerID(h.Node), h.Feed.String(), h.Seq, time.UnixMilli(h.Time).UTC(), entryKinds[h.Kind]
	}
	if s.Member != nil {
		e.Member, e.State = &api.Name{ID: s.Member.ID.String(), Name: s.Member.Handle}, s.Member.State
	}
	if s.Fault != nil {
		e.Fault = s.Fault.Error()
	}
	return e
}

func sayVerifiedFile(gopts *GlobalOptions, v *verifiedFile) {
	state := "intact"
	switch {
	case !v.Whole:
		state = "NOT WHOLE: " + clean(v.Fault)
	case !v.Intact:
		state = "NOT INTACT"
	}
	gopts.sayf("%s, %s: %s.", plural(v.Entries, "entry", "entries"), plural(v.Statements, "statement", "statements"), state)
	mesh := orDash(clean(v.Mesh.Name)) + " " + v.Mesh.Ref
	switch {
	case v.Ours == nil:
		mesh += "   (there is no home here to compare it with)"
	case *v.Ours:
		mesh += "   yours"
	default:
		mesh += "   NOT YOURS: anybody can make a mesh of any name"
	}
	gopts.sayf("  mesh     %s", mesh)
	for i, e := range v.Signed {
		if i == listed {
			gopts.sayf("  and %s more: --json lists them", grouped(v.Entries-listed))
			break
		}
		if e.Fault != "" {
			gopts.sayf("  DAMAGED  %s", clean(e.Fault))
			continue
		}
		by := "by nobody that the file knows of"
		if e.Member != nil {
			by = "signed by " + nameOf(e.Member) + "'s node " + cut(e.Node, 18) + ", " + clean(e.State)
		}
		notes := []string{by, minute(e.Time) + " UTC by its clock"}
		if e.Beyond {
			notes = append(notes, "AFTER THE END OF ITS FEED")
		}
		if e.Bytes < 0 {
			notes = append(notes, "without payload")
		}
		gopts.sayf("  entry %s", wrap(append([]string{grouped(e.Seq) + " of feed " + cut(e.Feed, 10)}, notes...), ",", 80, 8))
	}
	if !v.Intact {
		gopts.notef("hint: ask for the file again; tipmesh carry in takes only what is sound")
	}
}
