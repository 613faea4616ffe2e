package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/carry"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// CardSignOptions are the flags of card sign.
type CardSignOptions struct{ KeyFile, Out string }

func newCardSignCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &CardSignOptions{}
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign what --unsigned wrote; needs neither node nor home",
		Long: `Sign the statements in a file that a command wrote with --unsigned, on the
machine that has the member key. It needs neither node nor home nor network. It
says in words what would be signed, and asks. tipmesh carry in FILE takes the
result to the node.`,
		Example: example("tipmesh card sign card.unsigned --key-file member.key --out card.signed"),
		Args:    countArgs(1, 1),
		RunE:    func(_ *cobra.Command, args []string) error { return runCardSign(opts, gopts, args[0]) },
	}
	cmd.Flags().StringVar(&opts.KeyFile, "key-file", "", "the member key")
	cmd.Flags().StringVar(&opts.Out, "out", "", "`file` for the signed statements")
	return cmd
}

// signedJSON tells what was signed.
type signedJSON struct {
	Kind       string   `json:"kind"` // signed
	Out        string   `json:"out"`
	IDs        []string `json:"ids"`
	Statements []string `json:"statements"` // in words
}

func runCardSign(opts *CardSignOptions, gopts *GlobalOptions, file string) error {
	if opts.KeyFile == "" || opts.Out == "" {
		return fail(api.CodeInvalid, "tipmesh card sign --help", "--key-file and --out are needed")
	}
	list, with, err := readUnsigned(file)
	if err != nil {
		return err
	}
	key, err := gopts.memberKey(opts.KeyFile)
	if err != nil {
		return err
	}
	said := signedJSON{Kind: "signed", Out: opts.Out}
	var mesh protocol.MeshID
	gopts.previewf("With the key %s you would sign:", short(protocol.KeyOf(key)))
	for _, u := range list {
		s, err := u.Read()
		if err != nil {
			return err
		}
		words := describe(s, with)
		mesh = s.Mesh
		said.IDs, said.Statements = append(said.IDs, s.ID().String()), append(said.Statements, strings.Join(words, "; "))
		gopts.previewf("  %s", strings.Join(words, "\n    "))
	}
	if ok, err := gopts.confirm("Sign?"); !ok || err != nil {
		return err
	}
	var out bytes.Buffer
	w := carry.NewWriter(&out, mesh, time.Now().UnixMilli())
	for _, u := range list {
		s, err := u.Sign(key)
		if err != nil {
			return fail(api.CodeDenied, "sign with the key that it names", "%v", err)
		}
		if err := w.Statement(s.Raw()); err != nil {
			return err
		}
	}
	for _, s := range with {
		if err := w.Statement(s.Raw()); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := writeNew(opts.Out, out.Bytes()); err != nil {
		return err
	}
	if gopts.JSON {
		return gopts.print(said)
	}
	gopts.sayf("Signed. Bring %s to a node of the member:  tipmesh carry in %s", opts.Out, opts.Out)
	return nil
}

// describe says in words what a statement states. Handles of others are not known
// where no node is; their short codes are those that tipmesh member list shows.
//
// with are statements at hand: what is approved, and the house rules that are to change.
func describe(s *protocol.Statement, with []*protocol.Statement) []string {
	out := []string{fmt.Sprintf("%s, in the mesh %s, dated %s UTC", s.Kind, protocol.RefCode(s.Mesh.String(), protocol.RefLen), minute(time.UnixMilli(s.Time)))}
	add := func(format string, args ...any) { out = append(out, clean(fmt.Sprintf(format, args...))) }
	who := func(m protocol.MemberID) string { return "member:" + protocol.RefCode(m.String(), protocol.RefLen) }
	proposal := func(id protocol.StatementID) string {
		return "proposal:" + protocol.RefCode(id.String(), protocol.RefLen)
	}
	why := ""
	switch d := s.Doc().(type) {
	case *protocol.Card:
		out = append(out, describeCard(d)...)
	case *protocol.Admission:
		add("propose to admit %s, with the card %s", who(d.Member), d.Card)
		for _, r := range d.Removed {
			add("  in spite of its removal, %s", proposal(r))
		}
		why = d.Why
	case *protocol.Removal:
		add("propose to remove %s: %s of it stay, in %d feeds, and no more", who(d.Member), entriesIn(d.Cuts), len(d.Cuts))
		why = d.Why
	case *protocol.Cut:
		add("end feeds of the node %s of %s: %s stay, in %d feeds, and no more", transport.PeerID(d.Node), who(d.Member), entriesIn(d.Cuts), len(d.Cuts))
	case *protocol.Approval:
		add("approve %s", proposal(d.Subject))
		for _, x := range with {
			if x.ID() == d.Subject {
				add("which is:")
				for _, line := range describe(x, with) {
					add("  %s", line)
				}
			}
		}
	case *protocol.Governors:
		add("propose that %d members govern, and %d of them sign:", len(d.Governors), d.Threshold)
		for _, g := range d.Governors {
			add("  %s", who(g))
		}
	case *protocol.HouseRules:
		add("propose new house rules; what changes has a *:")
		for _, line := range rulesChange(rulesOf(d.Prev, with), d.Rules) {
			add("  %s", line)
		}
		why = d.Why
	case *protocol.Suspension:
		add("suspend %s for %v", who(d.Member), time.Duration(d.Seconds)*time.Second)
		why = d.Why
	case *protocol.Dismissal:
		add("propose to lift %s", proposal(d.Subject))
		why = d.Why
	default:
		add("a statement of a kind that this program does not sign")
	}
	if why != "" {
		add("why: %s", why)
	}
	add("short name %s", proposal(s.ID()))
	return out
}

// rulesOf gives the house rules of the statement that another names, which its ID
// proves to be the one; nil where it is not at hand.
func rulesOf(id protocol.StatementID, with []*protocol.Statement) *protocol.Rules {
	for _, s := range with {
		switch d := s.Doc().(type) {
		case *protocol.HouseRules:
			if s.ID() == id {
				return &d.Rules
			}
		case *protocol.Charter:
			if s.ID() == id {
				return &d.Rules
			}
		}
	}
	return nil
}

func describeCard(d *protocol.Card) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, clean(fmt.Sprintf(format, args...))) }
	add("card %d of %s (%s)", d.Version, d.Name, d.Handle)
	add("contact %s; duty desk %s", d.Contact, orDash(d.Duty))
	add("sectors %s; regions %s; works on %s", orDash(strings.Join(d.Sectors, ", ")), orDash(strings.Join(d.Regions, ", ")), orDash(strings.Join(d.WorkingOn, ", ")))
	consent := "none"
	if d.Consent != nil {
		consent = fmt.Sprintf("%s, %d days", upper(d.Consent.TLP), d.Consent.Seconds/86400)
	}
	add("standing consent to early shares: %s", consent)
	hashOf := func(recipient string) string {
		return fmt.Sprintf("%.16s", protocol.HashOf([]byte(recipient)).String())
	}
	for _, n := range d.Nodes {
		own := "no age recipient of its own"
		if n.Recipient != "" {
			own = "its age recipient with the hash " + hashOf(n.Recipient)
		}
		add("node %s, %s", transport.PeerID(n.Key), own)
	}
	for _, r := range d.Retired {
		add("RETIRES the node %s, for good: %s of it stay, in %d feeds, and no more", transport.PeerID(r.Node), entriesIn(r.Cuts), len(r.Cuts))
	}
	add("STIX identity %s", d.Identity)
	add("age recipient with the hash %s", hashOf(d.Recipient))
	add("next member key with the hash %.16s", d.NextKey.String())
	return out
}

// entriesIn says how many entries cuts leave: whoever prepared them may have cut
// off all there is.
func entriesIn(cuts []protocol.FeedCut) string {
	left := uint64(0)
	for _, c := range cuts {
		left += c.Seq
	}
	return plural(left, "entry", "entries")
}
