package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// ProposeOptions are the flags of roster propose.
type ProposeOptions struct {
	SigningOptions
	Why  string
	Sign int
}

func newRosterCommand(gopts *GlobalOptions) *cobra.Command {
	show := &cobra.Command{
		Use: "show", Short: "Show who is in, who governs and what is proposed", Example: example("tipmesh roster show"), Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRosterShow(cmd.Context(), gopts) },
	}
	signing := &RosterSignOptions{}
	sign := &cobra.Command{
		Use:   "sign REF",
		Short: "Sign a proposal, as a governor",
		Long: `Sign a proposal, as a governor. For a newcomer it asks for one of the six words
that you heard from the newcomer itself. Only the node that gave the ticket
knows the words; on others, nothing is asked but whether to sign; with --yes,
nothing at all. --key-file takes a recovery key of the charter too, for a change
of governors; with --recovery, the public half, --unsigned writes what that key
is to sign.`,
		Example: example("tipmesh roster sign 4k1ex", "tipmesh roster sign 4k1ex --recovery safe-1.key.pub --unsigned vote.unsigned"), Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRosterSign(cmd.Context(), signing, gopts, args[0])
		},
	}
	signing.addFlags(sign.Flags())
	sign.Flags().StringVar(&signing.Recovery, "recovery", "", "public recovery `key`, a .pub file or hexadecimal, for --unsigned")
	log := &cobra.Command{
		Use: "log", Short: "List the statements behind the roster", Example: example("tipmesh roster log"), Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRosterLog(cmd.Context(), gopts) },
	}
	opts := &ProposeOptions{}
	propose := newNounCommand("propose", "Propose a change, signed by you if you govern",
		&cobra.Command{
			Use: "add CARDFILE|MEMBER", Short: "Propose to admit a member by its card, or one that was in before",
			Example: example("tipmesh roster propose add fir.card", `tipmesh roster propose add elm --why "back again"`), Args: countArgs(1, 1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return runProposeAdd(cmd.Context(), opts, gopts, args[0])
			},
		},
		&cobra.Command{
			Use: "remove MEMBER", Short: "Propose to remove a member",
			Example: example(`tipmesh roster propose remove elm --why "left the alliance"`), Args: countArgs(1, 1),
			ValidArgsFunction: gopts.completeMember,
			RunE: func(cmd *cobra.Command, args []string) error {
				return runProposeRemove(cmd.Context(), opts, gopts, args[0])
			},
		},
		newProposeGovernorsCommand(gopts, opts),
		newProposeRulesCommand(gopts, opts),
		newProposeLiftCommand(gopts, opts),
	)
	opts.addFlags(propose.PersistentFlags())
	propose.PersistentFlags().StringVar(&opts.Why, "why", "", "the `reason`; everybody in the mesh sees it")
	return newNounCommand("roster", "Who is in, and who decides", show, propose, sign, log,
		newSuspendCommand(gopts), newPinCommand(gopts), newRecoveryKeyCommand(gopts))
}

func newProposeGovernorsCommand(gopts *GlobalOptions, opts *ProposeOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use: "governors MEMBER,MEMBER...", Short: "Propose who governs, and how many must sign",
		Example: example("tipmesh roster propose governors alder,birch,cedar --sign 2"), Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProposeGovernors(cmd.Context(), opts, gopts, args[0])
		},
	}
	cmd.Flags().IntVar(&opts.Sign, "sign", 0, "how `many` of them must sign a change")
	return cmd
}

func runRosterShow(ctx context.Context, gopts *GlobalOptions) error {
	return gopts.withClient(func(c *api.Client) error {
		r, err := c.Roster(ctx)
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(r)
		}
		active := 0
		for _, m := range r.Members {
			if m.State == "active" {
				active++
			}
		}
		gopts.sayf("%s", gopts.bold(fmt.Sprintf("%s   roster %d   %s   governors %s, %d sign", clean(r.Mesh.Name), r.Version,
			plural(active, "member", "members"), strings.ReplaceAll(names(r.Governors), ",", ""), r.Threshold)))
		for _, m := range r.Members {
			state := ""
			if m.State != "active" {
				state = "   " + clean(m.State)
			}
			for _, s := range r.Suspensions {
				if s.Member.ID == m.ID {
					state = fmt.Sprintf("   suspended by %s from %s until %s UTC", nameOf(&s.By), minute(s.From), minute(s.Until))
				}
			}
			gopts.sayf("  %-12s  %s%s", clean(m.Name), cut(clean(m.Title), 48), state)
		}
		if len(r.Open) > 0 {
			gopts.sayf("Open")
		}
		for _, p := range r.Open {
			gopts.sayf("  %s  %s%s", clean(p.Ref), proposalText(&p), askedBy(&p))
			gopts.sayf("    signed: %s   needs %d   missing one of: %s", names(p.Signed), p.Needs, names(p.Missing))
			if p.RecoveryNeeds > 0 {
				gopts.sayf("    or of the present governors in place: %d recovery keys, %d have signed", p.RecoveryNeeds, len(p.RecoverySigned))
			}
			if p.State == "rival" {
				gopts.sayf("    rivalled by another change: agree which one counts, then each: tipmesh roster pin %s", clean(p.Ref))
			}
		}
		for _, g := range r.Guests {
			gopts.sayf("  guest %s (%s), words %s", nameOf(&g.Member), cut(clean(g.Title), 30), clean(strings.Join(g.Words, "-")))
			gopts.sayf("    to propose it: tipmesh roster propose add %s --key-file FILE", nameOf(&g.Member))
		}
		for _, a := range r.Alarms {
			gopts.sayf("ALARM  %s", clean(a))
		}
		return nil
	})
}

func askedBy(p *api.Proposal) string {
	if p.By == nil {
		return ""
	}
	return fmt.Sprintf("   asked by %s %s", nameOf(p.By), minute(p.Time))
}

// proposalText says what a proposal would do.
func proposalText(p *api.Proposal) string {
	title := ""
	if p.Title != "" {
		title = clean(p.Title) + " (" + nameOf(p.Subject) + ")"
	} else {
		title = nameOf(p.Subject)
	}
	switch p.Op {
	case api.OpAdd:
		return "add " + title
	case api.OpRemove:
		return "remove " + title
	case api.OpGovernors:
		return fmt.Sprintf("governors %s, %d sign", names(p.Governors), p.Sign)
	case api.OpRules:
		if p.Rules != nil {
			return "house rules " + strings.Join(rulesText(p.Rules), ", ")
		}
	case api.OpLift:
		return "let " + title + " in again"
	}
	return clean(p.Op) + " " + title
}

func runRosterLog(ctx context.Context, gopts *GlobalOptions) error {
	return gopts.withClient(func(c *api.Client) error {
		list, err := c.RosterLog(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, r := range list {
			if gopts.JSON {
				if err := gopts.print(r); err != nil {
					return err
				}
			}
			about := clean(r.Target)
			if r.About != nil {
				about = nameOf(r.About)
			}
			rows = append(rows, []string{minute(r.Time), clean(r.What), nameOf(r.By), orDash(about), orDash(clean(r.State)), cut(clean(r.Detail), 30)})
		}
		if gopts.JSON {
			return gopts.print(api.Summary{Kind: "summary", Total: len(list)})
		}
		gopts.table(gopts.stdout, []string{"SIGNED", "WHAT", "BY", "ABOUT", "STATE", "DETAIL"}, rows)
		return nil
	})
}

// RosterSignOptions are the flags of roster sign.
type RosterSignOptions struct {
	SigningOptions
	Recovery string
}

func runRosterSign(ctx context.Context, opts *RosterSignOptions, gopts *GlobalOptions, ref string) error {
	if err := opts.check(); err != nil {
		return err
	}
	if opts.Recovery != "" && opts.Unsigned == "" {
		return fail(api.CodeInvalid, "", "--recovery goes with --unsigned; --key-file signs with a recovery key here")
	}
	return gopts.withClient(func(c *api.Client) error {
		p, err := c.Proposal(ctx, ref)
		if err != nil {
			return err
		}
		// Whoever may not sign is told so before anything is shown or asked.
		question, err := opts.question(ctx, gopts, c, p)
		if err != nil {
			return err
		}
		if _, err := c.Prepare(ctx, http.MethodPost, api.SignPath(p.ID), question); err != nil {
			return err
		}
		contact := ""
		if p.Contact != "" {
			contact = ", " + clean(p.Contact)
		}
		gopts.previewf("%s%s%s", capital(proposalText(p)), contact, askedBy(p))
		if p.Why != "" {
			gopts.previewf("  why       %s", clean(p.Why))
		}
		gopts.previewf("  signed    %s, needs %d", names(p.Signed), p.Needs)
		warn(gopts, p.Warnings)
		switch {
		case gopts.DryRun:
			return nil
		case gopts.Yes:
		case p.Op == api.OpAdd && len(p.Words) > 0:
			if err := heardWord(gopts, p); err != nil {
				return err
			}
		default:
			if p.Op == api.OpAdd {
				gopts.previewf("The six words are known only where the ticket was made: %s has heard them.", nameOf(p.By))
			}
			if ok, err := gopts.confirm("Sign?"); !ok || err != nil {
				return err
			}
		}
		if opts.elsewhere() {
			_, done, err := opts.sign(ctx, gopts, c, http.MethodPost, api.SignPath(p.ID), question)
			if err != nil || !done {
				return err
			}
			if p, err = c.Proposal(ctx, p.ID); err != nil {
				return err
			}
			return sayProposal(gopts, p)
		}
		done, err := c.Sign(ctx, p.ID)
		if err != nil {
			return err
		}
		return sayProposal(gopts, done)
	})
}

// heardWord asks for one of the six words, so that nobody signs asleep.
func heardWord(gopts *GlobalOptions, p *api.Proposal) error {
	i := rand.IntN(len(p.Words))
	ordinal := [...]string{"1st", "2nd", "3rd", "4th", "5th", "6th"}[min(i, 5)]
	got, err := gopts.askText(fmt.Sprintf("You have heard its six words from %s yourself. Type the %s word: ", nameOf(p.Subject), ordinal))
	if err != nil {
		return err
	}
	if !strings.EqualFold(got, p.Words[i]) {
		return fail(api.CodeDenied, "do not sign: ask "+nameOf(p.Subject)+" for its words again, by phone", "that is not the %s word", ordinal)
	}
	return nil
}

func runProposeAdd(ctx context.Context, opts *ProposeOptions, gopts *GlobalOptions, what string) error {
	p := api.Propose{Op: api.OpAdd, Why: opts.Why}
	raw, err := os.ReadFile(what)
	if info, gone := os.Stat(what); gone == nil && info.IsDir() {
		err = fs.ErrNotExist // a home of that name, say
	}
	switch {
	case err == nil:
		p.Card = strings.Join(strings.Fields(string(raw)), "")
		gopts.previewf("Propose to admit the member of the card in %s.", what)
	case errors.Is(err, fs.ErrNotExist):
		p.Subject = what
		gopts.previewf("Propose to admit %s. If it waits with a ticket of yours, roster show has the six", clean(what))
		gopts.previewf("words that you must have heard from it by phone: a governor's proposal signs.")
	default:
		return fail(api.CodeInvalid, "", "%v", err)
	}
	return propose(ctx, opts, gopts, p)
}

func runProposeRemove(ctx context.Context, opts *ProposeOptions, gopts *GlobalOptions, who string) error {
	return gopts.withClient(func(c *api.Client) error {
		m, err := c.Member(ctx, who)
		if err != nil {
			return err
		}
		const text = "It is cut off for good and reads nothing new; what it has received stays with it. It can come back only by a new admission."
		gopts.previewf("%s", wrap(strings.Fields(fmt.Sprintf("Remove %s (%s). %s", clean(m.Name), clean(m.Handle), text)), "", 80, 0))
		return proposeWith(ctx, opts, gopts, c, api.Propose{Op: api.OpRemove, Subject: m.ID, Why: opts.Why})
	})
}

func runProposeGovernors(ctx context.Context, opts *ProposeOptions, gopts *GlobalOptions, list string) error {
	p := api.Propose{Op: api.OpGovernors, Why: opts.Why, Sign: opts.Sign}
	for who := range strings.SplitSeq(list, ",") {
		if who = strings.TrimSpace(who); who != "" {
			p.Governors = append(p.Governors, who)
		}
	}
	if n := len(p.Governors); p.Sign == 0 {
		return fail(api.CodeInvalid, fmt.Sprintf("add --sign %d", n/2+1), "how many of the %d governors must sign?", n)
	}
	if p.Sign > len(p.Governors) {
		return fail(api.CodeInvalid, "", "%d of %s cannot sign", p.Sign, plural(len(p.Governors), "governor", "governors"))
	}
	gopts.previewf("Governors become %s; %d of %d sign from then on.", clean(strings.Join(p.Governors, ", ")), p.Sign, len(p.Governors))
	if len(p.Governors) == 2 {
		gopts.previewf("Mind: with two governors both must sign, and only recovery keys can remove one.")
	}
	return propose(ctx, opts, gopts, p)
}

func propose(ctx context.Context, opts *ProposeOptions, gopts *GlobalOptions, p api.Propose) error {
	return gopts.withClient(func(c *api.Client) error { return proposeWith(ctx, opts, gopts, c, p) })
}

func proposeWith(ctx context.Context, opts *ProposeOptions, gopts *GlobalOptions, c *api.Client, p api.Propose) error {
	if err := opts.check(); err != nil {
		return err
	}
	if ok, err := gopts.confirm("Propose?"); !ok || err != nil {
		return err
	}
	if opts.elsewhere() {
		prepared, done, err := opts.sign(ctx, gopts, c, http.MethodPost, api.PathProposals, p)
		if err != nil || !done {
			return err
		}
		warn(gopts, prepared.Warnings)
		made, err := c.Proposal(ctx, prepared.IDs[0])
		if err != nil {
			return err
		}
		return sayProposal(gopts, made)
	}
	done, err := c.Propose(ctx, p)
	if err != nil {
		return err
	}
	return sayProposal(gopts, done)
}

func sayProposal(gopts *GlobalOptions, p *api.Proposal) error {
	if gopts.JSON {
		return gopts.print(p)
	}
	warn(gopts, p.Warnings)
	line := fmt.Sprintf("%s: signed by %s, %d of %d.   %s", capital(proposalText(p)), names(p.Signed), len(p.Signed), p.Needs, clean(p.Ref))
	switch p.State {
	case "open":
		gopts.sayf("%s", line)
		if len(p.Missing) == 0 {
			gopts.sayf("No governor is left who may sign it: change the governors first.")
			return nil
		}
		gopts.sayf("Missing one of: %s.   They run: tipmesh roster sign %s", names(p.Missing), clean(p.Ref))
	case "done":
		gopts.sayf("%s   It is done.", line)
	default:
		gopts.sayf("%s   It is %s.", line, clean(p.State))
	}
	return nil
}

func warn(gopts *GlobalOptions, list []api.Warning) {
	for _, w := range list {
		gopts.previewf("  mind      %s", wrap(strings.Fields(clean(w.Text)), "", 80, 12))
	}
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
