package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// CardSetOptions are the flags of card set.
type CardSetOptions struct {
	SigningOptions
	Name, Contact, Duty, Consent string
	Sectors, Regions, WorkingOn  []string
}

func newCardCommand(gopts *GlobalOptions) *cobra.Command {
	show := &cobra.Command{
		Use: "show", Short: "Show your card", Example: example("tipmesh card show"), Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCardShow(cmd.Context(), gopts) },
	}
	opts := &CardSetOptions{}
	set := &cobra.Command{
		Use: "set", Short: "Change your card; all members see it",
		Example: example(`tipmesh card set --duty "+44 20 7946 0000, 24/7" --working-on VPNFilter`, "tipmesh card set --consent none"),
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCardSet(cmd.Context(), opts, gopts, cmd.Flags().Changed)
		},
	}
	f := set.Flags()
	opts.addFlags(f)
	f.StringVar(&opts.Name, "name", "", "the organisation's `name`")
	f.StringVar(&opts.Contact, "contact", "", "mail `address` or telephone number")
	f.StringVar(&opts.Duty, "duty", "", "duty desk and its `hours`")
	f.StringSliceVar(&opts.Sectors, "sector", nil, "`sectors`, with commas between")
	f.StringSliceVar(&opts.Regions, "region", nil, "`regions`, with commas between")
	f.StringSliceVar(&opts.WorkingOn, "working-on", nil, "`topics` you work on, with commas between")
	f.StringVar(&opts.Consent, "consent", "", "join early shares without asking: standing or none")
	return newNounCommand("card", "What the others know of you, and your keys", show, set,
		newCardNodeCommand(gopts), newCardRotateCommand(gopts), newCardSignCommand(gopts))
}

func runCardShow(ctx context.Context, gopts *GlobalOptions) error {
	return gopts.withClient(func(c *api.Client) error {
		card, err := c.Card(ctx)
		if err != nil {
			return err
		}
		return sayCard(gopts, card)
	})
}

// standingConsent is what --consent standing puts into a card.
const (
	standingTLP     = "amber"
	standingSeconds = 14 * 24 * 3600
)

func runCardSet(ctx context.Context, opts *CardSetOptions, gopts *GlobalOptions, changed func(string) bool) error {
	var change api.CardChange
	var parts []string
	text := func(name, value string, to **string) {
		if changed(name) {
			*to = &value
			parts = append(parts, name+" "+orDash(clean(value)))
		}
	}
	list := func(name string, value []string, to **[]string) {
		if changed(name) {
			*to = &value
			parts = append(parts, name+" "+orDash(clean(strings.Join(value, ", "))))
		}
	}
	text("name", opts.Name, &change.Name)
	text("contact", opts.Contact, &change.Contact)
	text("duty", opts.Duty, &change.Duty)
	list("sector", opts.Sectors, &change.Sectors)
	list("region", opts.Regions, &change.Regions)
	list("working-on", opts.WorkingOn, &change.WorkingOn)
	if changed("consent") {
		switch opts.Consent {
		case "standing":
			change.Consent = &api.Consent{TLP: standingTLP, ForS: standingSeconds}
		case "none":
			change.Consent = &api.Consent{}
		default:
			return fail(api.CodeInvalid, "", "--consent %q: want standing or none", opts.Consent)
		}
		parts = append(parts, "consent "+opts.Consent)
	}
	if len(parts) == 0 {
		return fail(api.CodeInvalid, "tipmesh card set --help", "nothing to change")
	}
	if err := opts.check(); err != nil {
		return err
	}
	gopts.previewf("All members will see: %s", wrap(parts, ";", 80, 2))
	if ok, err := gopts.confirm("Change your card?"); !ok || err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		if opts.elsewhere() {
			if _, done, err := opts.sign(ctx, gopts, c, http.MethodPatch, api.PathCard, change); err != nil || !done {
				return err
			}
			return runCardShow(ctx, gopts)
		}
		card, err := c.SetCard(ctx, change)
		if err != nil {
			return err
		}
		return sayCard(gopts, card)
	})
}

func sayCard(gopts *GlobalOptions, c *api.Card) error {
	if gopts.JSON {
		return gopts.print(c)
	}
	gopts.sayf("Card %d of %s (%s)   %s", c.Version, clean(c.Name), nameOf(&c.Member), clean(c.Ref))
	gopts.sayf("  contact   %s", clean(c.Contact))
	for _, f := range []struct{ name, text string }{{"duty desk", c.Duty}, {"sectors", strings.Join(c.Sectors, ", ")},
		{"regions", strings.Join(c.Regions, ", ")}, {"works on", strings.Join(c.WorkingOn, ", ")}} {
		if f.text != "" {
			gopts.sayf("  %-9s %s", f.name, clean(f.text))
		}
	}
	if c.Consent != nil {
		gopts.sayf("  consent   standing: %s, %d days", upper(c.Consent.TLP), c.Consent.ForS/86400)
	}
	gopts.sayf("  %-9s %s", "key", clean(c.Key[:min(16, len(c.Key))]))
	for i, n := range c.Nodes {
		gopts.sayf("  %-9s %s", map[bool]string{true: "nodes"}[i == 0], clean(n))
	}
	if len(c.AlsoOn) > 0 {
		gopts.sayf("Also at work on it: %s", names(c.AlsoOn))
	}
	return nil
}
