package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// CardNodeOptions are the flags of card node.
type CardNodeOptions struct {
	SigningOptions
	Out string
}

func newCardNodeCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &CardNodeOptions{}
	add := &cobra.Command{
		Use:   "add REQUEST",
		Short: "Name a further node of yours in the card, and make its pack",
		Long: `Name a further node of yours in the card, as tipmesh join --own has asked for
it on the other machine, and write the pack with which it begins. The pack is
sealed to that node. Called again for the same request it only makes the pack.`,
		Example: example("tipmesh card node add second.request --out second.pack",
			"tipmesh card node add second.request --out second.pack --key-file member.key"),
		Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runNodeAdd(cmd.Context(), opts, gopts, args[0]) },
	}
	add.Flags().StringVar(&opts.Out, "out", "", "`file` for the pack")
	retire := &cobra.Command{
		Use:   "retire NODE",
		Short: "Take another node of yours out of service, for good",
		Long: `Take another node of yours out of service, for good: lost, stolen or old. What
it wrote up to now stays; what it writes from now on counts nowhere. It gets
nothing new: others close its links, and your age identity changes. NODE is its
peer ID or key, as card show has it; the last characters of the ID will do.`,
		Example: example("tipmesh card node retire x7YpQm", "tipmesh card node retire x7YpQm --key-file member.key"), Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runNodeRetire(cmd.Context(), opts, gopts, args[0])
		},
	}
	renew := &cobra.Command{
		Use:   "renew",
		Short: "Give this home's node a new key, and retire the old one",
		Long: `Give this home's node a new key, and retire the old one. It is the way on where
a node has stopped writing because its home was copied, or put back from an
older copy. What it wrote stays. The running node takes up the new key by
itself as soon as others have heard of it.`,
		Example: example("tipmesh card node renew", "tipmesh card node renew --key-file member.key"), Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runNodeRenew(cmd.Context(), opts, gopts) },
	}
	for _, c := range []*cobra.Command{add, retire, renew} {
		opts.addFlags(c.Flags())
	}
	return newNounCommand("node", "The nodes of yours that your card names", add, retire, renew)
}

// act makes a call that changes the card, signed here or with the key file. It
// gives nil where it was only written to be signed.
func (o *SigningOptions) act(ctx context.Context, gopts *GlobalOptions, c *api.Client, path string, question any) (*api.Card, error) {
	if !o.elsewhere() {
		return c.ChangeCard(ctx, path, question)
	}
	_, done, err := o.sign(ctx, gopts, c, http.MethodPost, path, question)
	if err != nil || !done {
		return nil, err
	}
	return c.Card(ctx)
}

// nodeAddedJSON tells of a further node.
type nodeAddedJSON struct {
	Kind string       `json:"kind"` // node
	Node api.NodeName `json:"node"`
	Out  string       `json:"out"` // the pack
}

func runNodeAdd(ctx context.Context, opts *CardNodeOptions, gopts *GlobalOptions, file string) error {
	if err := opts.check(); err != nil {
		return err
	}
	if opts.Out == "" && opts.Unsigned == "" {
		return fail(api.CodeInvalid, "add --out second.pack", "where should the pack be written?")
	}
	raw, err := readBounded(file, maxUnsigned)
	if err != nil {
		return err
	}
	asks, err := protocol.ParseNodeRequest(string(raw))
	if err != nil {
		return fail(api.CodeInvalid, "tipmesh join --own --out FILE makes one, on the other machine", "%s: %v", file, err)
	}
	gopts.previewf("Node %s,", transport.PeerID(asks.Node))
	gopts.previewf("which made the request in %s, will write and read as you do. All members", file)
	gopts.previewf("see that your card names it. tipmesh join --own has told its ID over there:")
	gopts.previewf("if that is another, the request is not the one that you made.")
	if ok, err := gopts.confirm("Name it?"); !ok || err != nil {
		return err
	}
	q := api.NodeRequest{Request: strings.TrimSpace(string(raw))}
	return gopts.withClient(func(c *api.Client) error {
		card, err := opts.act(ctx, gopts, c, api.PathNodes, q)
		var e *api.Error
		named := errors.As(err, &e) && e.Code == api.CodeConflict
		if err != nil && !named {
			return err
		}
		if card == nil && !named {
			return nil // to be signed elsewhere
		}
		p, err := c.Pack(ctx, q.Request)
		if err != nil {
			return err
		}
		if err := writeNew(opts.Out, p.Pack); err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(nodeAddedJSON{Kind: "node", Node: p.Node, Out: opts.Out})
		}
		gopts.sayf("Your card names node %s.", p.Node.ID)
		gopts.sayf("Wrote %s, sealed to it. On its machine:  tipmesh join --own %s", opts.Out, opts.Out)
		return nil
	})
}

func runNodeRetire(ctx context.Context, opts *CardNodeOptions, gopts *GlobalOptions, node string) error {
	if err := opts.check(); err != nil {
		return err
	}
	gopts.previewf("Retire node %s, for good. What it wrote up to now stays; it gets nothing new.", clean(node))
	gopts.previewf("What it has received stays with it: if it is in other hands, so is that.")
	if ok, err := gopts.confirm("Retire it?"); !ok || err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		card, err := opts.act(ctx, gopts, c, api.PathRetire, api.NodeGone{Node: node})
		if err != nil || card == nil {
			return err
		}
		return sayCard(gopts, card)
	})
}

func runNodeRenew(ctx context.Context, opts *CardNodeOptions, gopts *GlobalOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	gopts.previewf("This home gets a new node key; the old one is retired, for good, and your age")
	gopts.previewf("identity changes. Any other copy of this home can write nothing and gets nothing new.")
	if ok, err := gopts.confirm("Renew?"); !ok || err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		card, err := opts.act(ctx, gopts, c, api.PathRenew, struct{}{})
		if err != nil || card == nil {
			return err
		}
		if err := sayCard(gopts, card); err != nil {
			return err
		}
		gopts.notef("The node takes up its new key within some seconds, by itself.")
		return nil
	})
}
