package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
)

// MemberOptions are the flags of create and join about the member.
type MemberOptions struct {
	Member, Handle, Contact, Duty string
	Sectors, Regions              []string
}

func (o *MemberOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.Member, "member", "", "your organisation's `name`")
	f.StringVar(&o.Handle, "handle", "", "short `name` in commands (default: first word)")
	f.StringVar(&o.Contact, "contact", "", "mail `address` or telephone number")
	f.StringVar(&o.Duty, "duty", "", "duty desk and its `hours`")
	f.StringSliceVar(&o.Sectors, "sector", nil, "`sectors`, with commas between")
	f.StringSliceVar(&o.Regions, "region", nil, "`regions`, with commas between")
}

// check gives the member's options, or what is missing.
func (o *MemberOptions) check(gopts *GlobalOptions) (home.MemberOptions, error) {
	var out home.MemberOptions
	pass, err := gopts.passphrase()
	if err != nil {
		return out, err
	}
	out = home.MemberOptions{Member: strings.TrimSpace(o.Member), Handle: o.Handle, Contact: strings.TrimSpace(o.Contact), Duty: o.Duty,
		Sectors: o.Sectors, Regions: o.Regions, Passphrase: pass}
	if out.Handle == "" {
		out.Handle = home.HandleFrom(out.Member)
	}
	switch {
	case out.Member == "":
		return out, fail(api.CodeInvalid, `--member "Alder Research"`, "which organisation is this? add --member NAME")
	case out.Contact == "":
		return out, fail(api.CodeInvalid, "--contact cert@alder.example", "how is it reached? add --contact ADDRESS")
	case !protocol.ValidHandle(out.Handle):
		return out, fail(api.CodeInvalid, "--handle alder", "%q is no handle: lower-case letters, digits and hyphens", out.Handle)
	}
	return out, nil
}

// CreateOptions are the flags of create.
type CreateOptions struct {
	MemberOptions
	TLP, PAP, Rules                               string
	Recovery                                      []string
	Answer, Erasure, CutOff, Fresh, Settle, Epoch durationFlag
	Context                                       bool
	Lifetimes                                     lifetimesFlag
}

func newCreateCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &CreateOptions{}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Found a mesh; you are its first governor",
		Long: `Found a mesh; you are its first governor. With --passphrase-file the keys are
put under that passphrase, and "tipmesh run" wants the same flag. House rules
hold for the whole mesh.`,
		Example: example(`tipmesh create "Harbour Alliance" --member "Alder Research" \`,
			"         --contact cert@alder.example"),
		Args: countArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return runCreate(opts, gopts, args[0]) },
	}
	f := cmd.Flags()
	opts.addFlags(f)
	f.StringVar(&opts.TLP, "tlp", "green", "house rule: TLP unless said")
	f.StringVar(&opts.PAP, "pap", "green", "house rule: PAP unless said")
	f.StringSliceVar(&opts.Recovery, "recovery", nil, "recovery `keys`: .pub files, or hexadecimal")
	f.StringVar(&opts.Rules, "rules", "", "`file` with the house rules in words")
	f.BoolVar(&opts.Context, "require-context", false, "house rule: refuse what has no context")
	f.Var(&opts.Answer, "answer-time", "house rule: time to answer an invitation")
	f.Var(&opts.Erasure, "erasure-grace", "house rule: grace before an erasure")
	f.Var(&opts.CutOff, "cut-off", "house rule: silence that stops an operation")
	f.Var(&opts.Fresh, "freshness", "house rule: how long a roster counts as fresh")
	f.Var(&opts.Settle, "settle", "house rule: time to rival a change of governors")
	f.Var(&opts.Epoch, "epoch-wait", "house rule: wait for new keys after a removal")
	f.Var(&opts.Lifetimes, "lifetime", "house rule: how long what is said holds, as url=14d,domain=60d")
	return cmd
}

// meshJSON is the answer of create.
type meshJSON struct {
	Kind      string         `json:"kind"`
	ID        string         `json:"id"`
	Ref       string         `json:"ref"`
	Name      string         `json:"name"`
	Member    memberJSON     `json:"member"`
	Governors []api.Name     `json:"governors"`
	Threshold int            `json:"threshold"`
	Rules     map[string]any `json:"rules"`
	Home      string         `json:"home"`
}

type memberJSON struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Handle string `json:"handle"`
}

func runCreate(opts *CreateOptions, gopts *GlobalOptions, name string) error {
	dir, err := gopts.home()
	if err != nil {
		return err
	}
	member, err := opts.check(gopts)
	if err != nil {
		return err
	}
	if mayDo(strings.ToLower(opts.TLP)) == "" {
		return fail(api.CodeInvalid, "", "--tlp %q: want clear, green, amber, amber+strict or red", opts.TLP)
	}
	if !slices.Contains([]string{"clear", "green", "amber", "red"}, strings.ToLower(opts.PAP)) {
		return fail(api.CodeInvalid, "", "--pap %q: want clear, green, amber or red", opts.PAP)
	}
	rules := protocol.Rules{TLP: strings.ToLower(opts.TLP), PAP: strings.ToLower(opts.PAP), AnswerSeconds: seconds(opts.Answer),
		ErasureSeconds: seconds(opts.Erasure), CutOffSeconds: seconds(opts.CutOff), FreshSeconds: seconds(opts.Fresh),
		SettleSeconds: seconds(opts.Settle), EpochWaitMillis: uint64(opts.Epoch) / 1e6, Lifetimes: opts.Lifetimes.rules()}
	if opts.Context {
		rules.Context = 1
	}
	if opts.Rules != "" {
		raw, err := os.ReadFile(opts.Rules)
		if err != nil {
			return fail(api.CodeInvalid, "", "%v", err)
		}
		rules.Text = string(raw)
	}
	recovery, err := recoveryKeys(opts.Recovery)
	if err != nil {
		return err
	}
	if err := home.Vacant(dir); err != nil {
		return err
	}
	gopts.previewf("Found %s in %s, as %s (%s), governor 1 of 1.", clean(name), dir, clean(member.Member), member.Handle)
	if ok, err := gopts.confirm("Create?"); !ok || err != nil {
		return err
	}
	made, err := home.Create(dir, home.CreateOptions{MemberOptions: member, Mesh: name, Rules: rules, Recovery: recovery})
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	ref := "mesh:" + protocol.RefCode(made.Mesh.String(), 5)
	if gopts.JSON {
		return gopts.print(meshJSON{Kind: "mesh", ID: made.Mesh.String(), Ref: ref, Name: name,
			Member:    memberJSON{ID: made.Member.String(), Name: member.Member, Handle: member.Handle},
			Governors: []api.Name{{ID: made.Member.String(), Name: member.Handle}}, Threshold: 1,
			Rules: map[string]any{"tlp": rules.TLP, "pap": rules.PAP, "context": rules.Context}, Home: abs})
	}
	gopts.sayf("Created mesh   %-27s %s", clean(name), ref)
	gopts.sayf("  you          %s (%s)", clean(member.Member), member.Handle)
	gopts.sayf("  governors    %s, 1 of 1 signs         add two more before you rely on it", member.Handle)
	gopts.sayf("  house rules  TLP:%s and PAP:%s unless said", upper(rules.TLP), upper(rules.PAP))
	if len(recovery) > 0 {
		gopts.sayf("  recovery     %d keys; %d of them can replace governors, with the new ones", len(recovery), len(recovery)/2+1)
	}
	keys := "keys 0600"
	if member.Passphrase != nil {
		keys += " under your passphrase"
	}
	gopts.sayf("  home         %s   %s, store encrypted", abs, keys)
	gopts.notef("Next: %s    then: %s", gopts.here("tipmesh run"), gopts.here("tipmesh invite"))
	return nil
}

func seconds(d durationFlag) uint64 {
	if d > 0 && uint64(d)/1e9 == 0 {
		return 1
	}
	return uint64(d) / 1e9
}

// codedHome gives the errors of a home folder their codes.
func codedHome(err error) *api.Error {
	wrap := func(code, hint string) *api.Error { return api.Errorf(code, "%v", err).WithHint("%s", hint) }
	switch {
	case errors.Is(err, home.ErrExists):
		return wrap(api.CodeConflict, "start it with tipmesh run, or choose another --home")
	case errors.Is(err, home.ErrMember):
		return wrap(api.CodeConflict, "tipmesh run")
	case errors.Is(err, home.ErrOther):
		return wrap(api.CodeConflict, "one home a mesh: choose another --home")
	case errors.Is(err, home.ErrRunning):
		return wrap(api.CodeConflict, "tipmesh status")
	case errors.Is(err, home.ErrExpired):
		return wrap(api.CodeDenied, "ask for a new ticket")
	case errors.Is(err, home.ErrPending):
		return wrap(api.CodeUnavailable, "tipmesh join")
	case errors.Is(err, home.ErrNone):
		return wrap(api.CodeNotFound, "tipmesh create, or tipmesh join")
	case errors.Is(err, home.ErrDamaged):
		return wrap(api.CodeInternal, "restore what is named from a backup")
	case errors.Is(err, keyring.ErrNeedsPassphrase), errors.Is(err, keyring.ErrWrongPassphrase):
		return wrap(api.CodeInvalid, "--passphrase-file FILE")
	case errors.Is(err, protocol.ErrMalformed), errors.Is(err, protocol.ErrVersion):
		return wrap(api.CodeInvalid, "")
	}
	return nil
}
