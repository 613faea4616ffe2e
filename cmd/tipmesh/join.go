package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// JoinOptions are the flags of join.
type JoinOptions struct {
	Own bool
	Out string
	MemberOptions
	Consent string
	Timeout durationFlag
	Listen  []string
	Log     LogOptions
}

// joinAgain is how long to wait before the inviter is tried again.
const joinAgain = time.Second

func newJoinCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &JoinOptions{}
	cmd := &cobra.Command{
		Use:   "join TICKET|FILE",
		Short: "Join a mesh with a ticket, or as a further node of yours",
		Long: `Join a mesh with a ticket, given as text, as a file or, with -, on standard
input. It shows the house rules, prints six words to read to a governor by
phone, and waits until governors have signed and all that the members hold is
here. Interrupting it is safe: the same command goes on.

With --own it makes a further node of a member that is in, in two steps:
--out FILE writes a request, for tipmesh card node add at a node of the member;
--own PACK, with what that wrote, makes the home. Neither file holds a secret
in the open.`,
		Example: example(`tipmesh join fir.ticket --member "Fir Mobile" --contact cert@fir.example`,
			"tipmesh join fir.ticket --member \"Fir Mobile\" --contact cert@fir.example \\", "    --yes --consent standing --timeout 60s",
			"tipmesh join --own --out second.request", "tipmesh join --own second.pack"),
		Args: countArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.Own || len(args) == 0 {
				return runJoinOwn(opts, gopts, args)
			}
			return runJoin(cmd.Context(), opts, gopts, args[0])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.Own, "own", false, "make a further node of a member that is in")
	f.StringVar(&opts.Out, "out", "", "`file` for the request of --own")
	opts.addFlags(f)
	f.StringVar(&opts.Consent, "consent", "", "early shares up to AMBER, 14 days: standing or ask")
	f.Var(&opts.Timeout, "timeout", "give up after so long (default: never)")
	f.StringArrayVar(&opts.Listen, "listen", nil, "UDP and TCP `address:port`, kept; 0 is any; repeat")
	opts.Log.addFlags(f, "error")
	return cmd
}

// joinJSON is a step of a join.
type joinJSON struct {
	Kind     string    `json:"kind"`
	State    string    `json:"state"` // accepted, reached, waiting, signed, admitted, synced
	Mesh     string    `json:"mesh,omitempty"`
	Member   *api.Name `json:"member,omitempty"`
	By       []string  `json:"by,omitempty"`
	Missing  []string  `json:"missing,omitempty"`
	Needs    uint64    `json:"needs,omitempty"`
	Words    []string  `json:"words,omitempty"`
	Received *uint64   `json:"received,omitempty"` // entries
	Objects  *uint64   `json:"objects,omitempty"`
	Roster   *int      `json:"roster,omitempty"` // members
	TookS    float64   `json:"took_s,omitempty"`
}

func runJoin(ctx context.Context, opts *JoinOptions, gopts *GlobalOptions, arg string) error {
	dir, err := gopts.home()
	if err != nil {
		return err
	}
	ticket, charter, err := readTicket(gopts, arg)
	if err != nil {
		return err
	}
	member, err := opts.check(gopts)
	if err != nil {
		return err
	}
	if err := checkListen(opts.Listen); err != nil {
		return err
	}
	log, err := opts.Log.logger(gopts)
	if err != nil {
		return err
	}
	if err := agree(gopts, opts, &member, ticket, charter); err != nil {
		return err
	}
	if gopts.DryRun {
		return nil
	}
	if opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(opts.Timeout))
		defer cancel()
	}
	j := &joining{gopts: gopts, ticket: ticket, begun: time.Now()}
	made, err := home.NewMember(dir, ticket, charter, member)
	switch {
	case errors.Is(err, home.ErrMember): // in already; perhaps not in step
	case err != nil:
		return err
	default:
		j.fresh = !made.Again
		j.words = api.Words(made.Mesh, ticket.Inviter, made.Card.ID(), ticket.ID())
		if made.Again {
			gopts.notef("Going on with the join that was begun before.")
		}
		if err := j.accepted(made); err != nil {
			return err
		}
	}
	h, err := home.Open(dir, home.Options{Listen: opts.Listen, Passphrase: member.Passphrase, Log: log})
	if err != nil {
		return err
	}
	defer func() {
		if err := h.Close(); err != nil {
			log.Error("close home", "err", err)
		} else if j.fresh && j.refused {
			if err := home.Discard(dir); err != nil {
				log.Error("remove the home of a refused join", "err", err)
			}
		}
	}()
	return j.run(ctx, h)
}

// readTicket reads a ticket from a file, standard input or the command line.
func readTicket(gopts *GlobalOptions, arg string) (*protocol.Ticket, *protocol.Statement, error) {
	text := arg
	switch raw, err := os.ReadFile(arg); {
	case arg == "-":
		var err error
		if text, err = limitedText("standard input", gopts.stdin); err != nil {
			return nil, nil, err
		}
	case err == nil:
		text = string(raw)
	case !strings.HasPrefix(arg, "tipmesh-ticket-"):
		return nil, nil, fail(api.CodeInvalid, "give the ticket's file, or its text", "no ticket: %v", err)
	}
	ticket, charter, err := protocol.ParseTicket(text)
	if err != nil {
		return nil, nil, fail(api.CodeInvalid, "ask for the ticket again; it is one line", "%v", err)
	}
	return ticket, charter, nil
}

// agree shows the house rules and asks what must be asked.
func agree(gopts *GlobalOptions, opts *JoinOptions, m *home.MemberOptions, t *protocol.Ticket, charter *protocol.Statement) error {
	doc, ok := charter.Doc().(*protocol.Charter)
	if !ok {
		return fail(api.CodeInvalid, "", "the ticket holds no charter")
	}
	gopts.previewf("%s, invited by %s; the ticket is good until %s UTC.", clean(doc.Name), clean(t.Handle), minute(time.UnixMilli(t.Expires)))
	gopts.previewf("House rules: TLP:%s and PAP:%s unless said.", orDash(upper(doc.Rules.TLP)), orDash(upper(doc.Rules.PAP)))
	for line := range strings.Lines(doc.Rules.Text) {
		gopts.previewf("  %s", clean(strings.TrimRight(line, "\r\n")))
	}
	gopts.previewf("You join as %s (%s), %s.", clean(m.Member), m.Handle, clean(m.Contact))
	if ok, err := gopts.confirm("Accept?"); err != nil || !ok {
		return err
	}
	switch opts.Consent {
	case "standing":
		m.Consent = &protocol.Consent{TLP: standingTLP, Seconds: standingSeconds}
	case "ask":
	case "":
		if gopts.Yes {
			break
		}
		answer, err := gopts.askText("Early shares: join them without asking each time, when TLP is at most AMBER\n" +
			"and they end within 14 days? You can change this. [Y/n] ")
		if err != nil {
			return err
		}
		if answer = strings.ToLower(answer); answer == "" || answer == "y" || answer == "yes" {
			m.Consent = &protocol.Consent{TLP: standingTLP, Seconds: standingSeconds}
		}
	default:
		return fail(api.CodeInvalid, "", "--consent %q: want standing or ask", opts.Consent)
	}
	return nil
}

// joining is a join under way.
type joining struct {
	gopts  *GlobalOptions
	ticket *protocol.Ticket
	words  []string
	begun  time.Time
	signed []string
	told   bool // that we wait
	// A join that was begun by this call and refused leaves no home, which would
	// stand in the way of the next try.
	fresh, refused bool
}

func (j *joining) accepted(m *home.Made) error {
	if j.gopts.JSON {
		return j.gopts.print(joinJSON{Kind: "join", State: "accepted", Mesh: m.Mesh.String(), Words: j.words,
			Member: &api.Name{ID: m.Member.String(), Name: m.Card.Doc().(*protocol.Card).Handle}})
	}
	j.gopts.sayf("Your words:  %s      read them to a governor", strings.Join(j.words, "-"))
	return nil
}

// run runs the node until the member is in and holds what the others hold.
func (j *joining) run(ctx context.Context, h *home.Home) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	listening := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- h.Run(running, func() { close(listening) }) }()
	finish := func(err error) error {
		stop()
		return errors.Join(err, <-ended)
	}
	select {
	case <-listening:
	case err := <-ended:
		stop()
		return err
	}
	if err := j.admit(ctx, h); err != nil {
		return finish(err)
	}
	if err := j.sync(ctx, h); err != nil {
		return finish(err)
	}
	return finish(nil)
}

// admit shows the card until the member is in. An inviter that cannot be reached
// is tried again.
func (j *joining) admit(ctx context.Context, h *home.Home) error {
	if !h.Pending() {
		return nil
	}
	for tries := 0; ; tries++ {
		err := h.Join(ctx, j.progress)
		switch {
		case err == nil:
			return j.admitted(h)
		case ctx.Err() != nil:
			return fail(api.CodeUnavailable, "the same command goes on where this one stopped", "not in yet: %s", j.waitingFor(ctx.Err()))
		case errors.Is(err, home.ErrRefused):
			j.refused = true
			hint := "ask " + clean(j.ticket.Handle) + " for a new ticket"
			if strings.Contains(err.Error(), "is taken") {
				hint = "add another --handle; the ticket is still good"
			}
			return fail(api.CodeDenied, hint, "%v", err)
		case !errors.Is(err, home.ErrDamaged) && (tries > 0 || j.told):
		case errors.Is(err, home.ErrDamaged):
			return err
		default:
			j.gopts.notef("%s cannot be reached (%s); trying again. Ctrl-C is safe.", clean(j.ticket.Handle), clean(err.Error()))
		}
		select {
		case <-ctx.Done():
		case <-time.After(joinAgain):
		}
	}
}

func (j *joining) waitingFor(err error) string {
	what := "time is up"
	if errors.Is(err, context.Canceled) {
		what = "interrupted"
	}
	if j.told {
		return what + "; governors have not signed"
	}
	return what + "; " + clean(j.ticket.Handle) + " was not reached"
}

// progress tells of an answer of the inviter, where it is news.
func (j *joining) progress(r *node.JoinReply) {
	var fresh []string
	for _, s := range r.Signed {
		if !slices.Contains(j.signed, s) {
			fresh = append(fresh, s)
		}
	}
	j.signed = append(j.signed, fresh...)
	if r.State == node.JoinWaiting && !j.told {
		j.told = true
		if j.gopts.JSON {
			j.tell(joinJSON{Kind: "join", State: "waiting", Needs: r.Needs, By: j.signed, Missing: r.Missing, Words: j.words})
		} else {
			left := max(0, int(r.Needs)-len(r.Signed))
			j.gopts.sayf("Reached %s. Waiting for %s: %s. Ctrl-C is safe.", clean(j.ticket.Handle), plural(left, "governor", "governors"),
				clean(strings.Join(r.Missing, ", ")))
		}
	}
	for _, s := range fresh {
		if j.gopts.JSON {
			j.tell(joinJSON{Kind: "join", State: "signed", By: []string{s}})
		} else {
			j.gopts.sayf("  %s  %s signed", time.Now().UTC().Format("15:04"), clean(s))
		}
	}
}

func (j *joining) tell(v joinJSON) {
	if err := j.gopts.print(v); err != nil {
		j.gopts.notef("%v", err)
	}
}

func (j *joining) admitted(h *home.Home) error {
	roster := len(h.Node.Roster().Active())
	handle := ""
	if m, ok := h.Node.Roster().Member(h.Member); ok {
		handle = m.Handle
	}
	if j.gopts.JSON {
		return j.gopts.print(joinJSON{Kind: "join", State: "admitted", Roster: &roster, Member: &api.Name{ID: h.Member.String(), Name: handle}})
	}
	j.gopts.sayf("You are in, as %s. %s, %s.", clean(handle), clean(h.MeshName), plural(roster, "member", "members"))
	return nil
}

func (j *joining) sync(ctx context.Context, h *home.Home) error {
	begun := time.Now()
	stop := j.gopts.progress(ctx, func() string {
		s := h.Node.Status(time.Time{})
		return fmt.Sprintf("receiving: %s", plural(s.Entries, "entry", "entries"))
	})
	err := h.Node.WaitInStep(ctx)
	stop()
	if err != nil && ctx.Err() != nil {
		return fail(api.CodeUnavailable, "tipmesh run goes on with it, or the same command", "you are in, and not everything has arrived yet")
	} else if err != nil {
		return err
	}
	// What is counted as received has been read too.
	if err := h.Node.CatchUp(ctx); err != nil {
		return err
	}
	s := h.Node.Status(time.Time{})
	if j.gopts.JSON {
		roster := len(h.Node.Roster().Active())
		return j.gopts.print(joinJSON{Kind: "join", State: "synced", Received: &s.Entries, Objects: &s.Objects, Roster: &roster,
			TookS: time.Since(j.begun).Seconds()})
	}
	j.gopts.sayf("Received %s in %s.", plural(s.Objects, "object", "objects"), lasting(time.Since(begun)))
	for _, p := range s.Peers {
		if p.Undelivered > 0 {
			j.gopts.notef("%s says that it holds more of %s, and does not give it: this may not be all", clean(p.Handle), plural(p.Undelivered, "feed", "feeds"))
		}
	}
	j.gopts.notef("Others start at use \"read\": %s", j.gopts.here("tipmesh trust list"))
	j.gopts.notef("Next: %s", j.gopts.here("tipmesh run"))
	return nil
}
