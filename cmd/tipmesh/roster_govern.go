package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
)

// SuspendOptions are the flags of roster suspend.
type SuspendOptions struct {
	SigningOptions
	For durationFlag
	Why string
}

func newSuspendCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &SuspendOptions{For: durationFlag(protocol.MaxSuspension * time.Second)}
	cmd := &cobra.Command{
		Use:   "suspend MEMBER",
		Short: "Cut a member off for at most 72 hours, as one governor",
		Long: `Cut a member off for at most 72 hours, as one governor. It reads nothing new, and
what it writes is held back, until then; nothing is lost. A member is suspended
once in seven days, whoever does it, and a governor suspends one at a time. As
many governors as sign a change lift it: tipmesh roster propose lift.`,
		Example: example(`tipmesh roster suspend elm --for 72h --why "key on a stolen laptop"`), Args: countArgs(1, 1),
		ValidArgsFunction: gopts.completeMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSuspend(cmd.Context(), opts, gopts, args[0])
		},
	}
	opts.addFlags(cmd.Flags())
	cmd.Flags().Var(&opts.For, "for", "how long")
	cmd.Flags().StringVar(&opts.Why, "why", "", "the `reason`; everybody in the mesh sees it")
	return cmd
}

func runSuspend(ctx context.Context, opts *SuspendOptions, gopts *GlobalOptions, who string) error {
	if err := opts.check(); err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		m, err := c.Member(ctx, who)
		if err != nil {
			return err
		}
		q := api.Suspend{Member: m.ID, ForS: time.Duration(opts.For).Seconds(), Why: opts.Why}
		gopts.previewf("Suspend %s (%s) for %s. It is cut off and reads nothing new until then.", clean(m.Name), clean(m.Handle), lasting(time.Duration(opts.For)))
		if ok, err := gopts.confirm("Suspend?"); !ok || err != nil {
			return err
		}
		if opts.elsewhere() {
			_, done, err := opts.sign(ctx, gopts, c, http.MethodPost, api.PathSuspend, q)
			if err == nil && done {
				gopts.sayf("%s is suspended.", clean(m.Handle))
			}
			return err
		}
		s, err := c.Suspend(ctx, q)
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(s)
		}
		gopts.sayf("%s is cut off until %s UTC.   %s", nameOf(&s.Member), minute(s.Until), clean(s.Ref))
		gopts.notef("To end it before: tipmesh roster propose lift %s. To end it for good: tipmesh roster propose remove %s", clean(m.Handle), clean(m.Handle))
		return nil
	})
}

func newPinCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "pin REF",
		Short: "Say which of two changes of governors counts here",
		Long: `Say which of two changes of governors counts here. Where enough governors signed
two changes that contradict each other, neither counts until each member has
said which one is meant: agree on it by telephone. It cannot be taken back.`,
		Example: example("tipmesh roster pin 4k1ex"), Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return gopts.withClient(func(c *api.Client) error {
				p, err := c.Proposal(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				gopts.previewf("%s%s", capital(proposalText(p)), askedBy(p))
				gopts.previewf("  signed    %s, needs %d", names(p.Signed), p.Needs)
				gopts.previewf("From then on this one counts at this node, for good, whatever else is signed beside it.")
				if ok, err := gopts.confirm("Pin it?"); !ok || err != nil {
					return err
				}
				if p, err = c.PinChange(cmd.Context(), p.ID); err != nil {
					return err
				}
				return sayProposal(gopts, p)
			})
		},
	}
}

func newRecoveryKeyCommand(gopts *GlobalOptions) *cobra.Command {
	out := ""
	cmd := &cobra.Command{
		Use:   "recovery-key",
		Short: "Make a recovery key; needs neither node nor home",
		Long: `Make a recovery key; needs neither node nor home. The charter names the public
half, in FILE.pub: tipmesh create --recovery FILE.pub. More than half of a mesh's
recovery keys can replace governors who are lost, together with the new ones:
tipmesh roster sign REF --key-file FILE. Keep each where no other one is.`,
		Example: example("tipmesh roster recovery-key --out safe-1.key"), Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return runRecoveryKey(gopts, out) },
	}
	cmd.Flags().StringVar(&out, "out", "", "`file` for the secret key; its public half goes to FILE.pub")
	return cmd
}

// recoveryJSON tells of a recovery key that was made.
type recoveryJSON struct {
	Kind   string `json:"kind"` // recovery-key
	Out    string `json:"out"`
	Public string `json:"public"` // file
	Key    string `json:"key"`    // public, hexadecimal
}

const recoveryLine = "recovery: "

func runRecoveryKey(gopts *GlobalOptions, out string) error {
	if out == "" {
		return fail(api.CodeInvalid, "tipmesh roster recovery-key --out safe-1.key", "--out is needed")
	}
	pass, err := gopts.passphrase()
	if err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make recovery key: %w", err)
	}
	if err := keyring.SaveMember(out, key, pass, false); err != nil {
		if errors.Is(err, keyring.ErrExists) {
			return fail(api.CodeConflict, "give another name, or move it away", "%s is there already", out)
		}
		return fail(api.CodeInvalid, "", "%v", err)
	}
	public := protocol.KeyOf(key).String()
	text := "# tipmesh: public half of a recovery key, for tipmesh create --recovery\n" + recoveryLine + public + "\n"
	if err := writeNew(out+".pub", []byte(text)); err != nil {
		return err
	}
	if gopts.JSON {
		return gopts.print(recoveryJSON{Kind: "recovery-key", Out: out, Public: out + ".pub", Key: public})
	}
	gopts.sayf("Wrote %s (secret: keep it offline) and %s.pub (public).", out, out)
	gopts.sayf("  key  %s", public)
	return nil
}

// recoveryKeys reads the public recovery keys that create is given: in hexadecimal,
// or files that recovery-key wrote.
func recoveryKeys(list []string) ([]protocol.Key, error) {
	var out []protocol.Key
	for _, text := range list {
		if raw, err := hex.DecodeString(text); err != nil || len(raw) != len(protocol.Key{}) {
			file, err := readBounded(text, 1<<16)
			if err != nil {
				return nil, err
			}
			text = ""
			for line := range strings.Lines(string(file)) {
				if rest, ok := strings.CutPrefix(strings.TrimSpace(line), recoveryLine); ok {
					text = rest
				}
			}
		}
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(protocol.Key{}) {
			return nil, fail(api.CodeInvalid, "tipmesh roster recovery-key makes one: give its .pub file", "--recovery wants public keys: 64 hexadecimal digits, or a file with one")
		}
		out = append(out, protocol.Key(raw))
	}
	n := len(out)
	if out = protocol.Sorted(out); len(out) != n {
		return nil, fail(api.CodeInvalid, "", "a recovery key is named twice")
	}
	return out, nil
}

// question asks for the signature of the recovery key that is given, if one is; nil
// asks for the member's.
func (o *RosterSignOptions) question(ctx context.Context, gopts *GlobalOptions, c *api.Client, p *api.Proposal) (any, error) {
	switch {
	case o.Recovery != "":
		keys, err := recoveryKeys([]string{o.Recovery})
		if err != nil {
			return nil, err
		}
		return &api.SignAs{Recovery: keys[0].String()}, nil
	case o.KeyFile == "" || p.Op != api.OpGovernors || p.RecoveryNeeds == 0:
		return nil, nil
	}
	key, err := gopts.memberKey(o.KeyFile)
	if err != nil {
		return nil, err
	}
	r, err := c.Roster(ctx)
	if text := protocol.KeyOf(key).String(); err == nil && slices.Contains(r.Recovery, text) {
		return &api.SignAs{Recovery: text}, nil
	}
	return nil, err
}

// RulesOptions are the house rules that create and roster propose rules take.
type RulesOptions struct {
	TLP, PAP                                      string
	Answer, Erasure, CutOff, Fresh, Settle, Epoch durationFlag
	Context                                       bool
	Lifetimes                                     lifetimesFlag
}

func newProposeRulesCommand(gopts *GlobalOptions, opts *ProposeOptions) *cobra.Command {
	rules := &RulesOptions{}
	cmd := &cobra.Command{
		Use:   "rules [FILE]",
		Short: "Propose house rules: those given change, the others stay",
		Long: `Propose house rules: those given change, the others stay. FILE has the rules in
words.`,
		Example: example("tipmesh roster propose rules rules.md --tlp amber", "tipmesh roster propose rules --erasure-grace 12h"), Args: countArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := rules.change(cmd.Flags().Changed, args)
			if err != nil {
				return err
			}
			gopts.previewf("House rules become: %s", strings.Join(rulesText(q), ", "))
			return propose(cmd.Context(), opts, gopts, api.Propose{Op: api.OpRules, Why: opts.Why, Rules: q})
		},
	}
	f := cmd.Flags()
	f.StringVar(&rules.TLP, "tlp", "", "TLP unless said")
	f.StringVar(&rules.PAP, "pap", "", "PAP unless said")
	f.BoolVar(&rules.Context, "require-context", false, "refuse what has no context")
	f.Var(&rules.Answer, "answer-time", "time to answer an invitation")
	f.Var(&rules.Erasure, "erasure-grace", "grace before an erasure")
	f.Var(&rules.CutOff, "cut-off", "silence that stops an operation")
	f.Var(&rules.Fresh, "freshness", "how long a roster counts as fresh")
	f.Var(&rules.Settle, "settle", "time to rival a change of governors")
	f.Var(&rules.Epoch, "epoch-wait", "wait for new keys after a removal")
	f.Var(&rules.Lifetimes, "lifetime", "how long what is said holds, as url=14d,domain=60d")
	return cmd
}

// change gives the rules that flags and file ask for.
func (o *RulesOptions) change(changed func(string) bool, args []string) (*api.HouseRules, error) {
	q := &api.HouseRules{Lifetimes: o.Lifetimes.change()}
	if changed("tlp") {
		if mayDo(strings.ToLower(o.TLP)) == "" {
			return nil, fail(api.CodeInvalid, "", "--tlp %q: want clear, green, amber, amber+strict or red", o.TLP)
		}
		q.TLP = &o.TLP
	}
	if changed("pap") {
		if !slices.Contains([]string{"clear", "green", "amber", "red"}, strings.ToLower(o.PAP)) {
			return nil, fail(api.CodeInvalid, "", "--pap %q: want clear, green, amber or red", o.PAP)
		}
		q.PAP = &o.PAP
	}
	if changed("require-context") {
		q.Context = &o.Context
	}
	for _, x := range []struct {
		flag string
		from durationFlag
		unit time.Duration
		to   **float64
	}{{"answer-time", o.Answer, time.Second, &q.AnswerS}, {"erasure-grace", o.Erasure, time.Second, &q.ErasureS}, {"cut-off", o.CutOff, time.Second, &q.CutOffS},
		{"freshness", o.Fresh, time.Second, &q.FreshS}, {"settle", o.Settle, time.Second, &q.SettleS}, {"epoch-wait", o.Epoch, time.Millisecond, &q.EpochWaitMS}} {
		if changed(x.flag) {
			n := float64(time.Duration(x.from) / x.unit)
			*x.to = &n
		}
	}
	if len(args) > 0 {
		raw, err := os.ReadFile(args[0])
		if err != nil {
			return nil, fail(api.CodeInvalid, "", "%v", err)
		}
		text := string(raw)
		q.Text = &text
	}
	if *q == (api.HouseRules{}) {
		return nil, fail(api.CodeInvalid, "tipmesh roster propose rules --help", "which rules? Give a file, or the rules to change")
	}
	return q, nil
}

// rulesText says house rules in words.
func rulesText(r *api.HouseRules) (out []string) {
	if r.TLP != nil {
		out = append(out, "TLP:"+upper(clean(*r.TLP)))
	}
	if r.PAP != nil {
		out = append(out, "PAP:"+upper(clean(*r.PAP)))
	}
	if r.Context != nil {
		out = append(out, map[bool]string{true: "context required", false: "context wanted"}[*r.Context])
	}
	for _, x := range []struct {
		name string
		n    *float64
		unit time.Duration
	}{{"answer within", r.AnswerS, time.Second}, {"erasure after", r.ErasureS, time.Second}, {"cut off after", r.CutOffS, time.Second},
		{"fresh for", r.FreshS, time.Second}, {"final after", r.SettleS, time.Second}, {"epoch wait", r.EpochWaitMS, time.Millisecond}} {
		if x.n != nil && *x.n > 0 {
			out = append(out, x.name+" "+lasting(time.Duration(*x.n)*x.unit))
		}
	}
	out = append(out, lifetimesText(r.Lifetimes)...)
	if r.Text != nil {
		out = append(out, fmt.Sprintf("%d bytes of text", len(*r.Text)))
	}
	return out
}

func newProposeLiftCommand(gopts *GlobalOptions, opts *ProposeOptions) *cobra.Command {
	return &cobra.Command{
		Use:     "lift MEMBER",
		Short:   "Propose to end a suspension, or to drop a removal that only suspends",
		Example: example("tipmesh roster propose lift elm"), Args: countArgs(1, 1),
		ValidArgsFunction: gopts.completeMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			gopts.previewf("Propose to let %s in again at once.", clean(args[0]))
			return propose(cmd.Context(), opts, gopts, api.Propose{Op: api.OpLift, Subject: args[0], Why: opts.Why})
		},
	}
}
