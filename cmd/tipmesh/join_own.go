package main

import (
	"errors"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// maxPack is the length of the longest pack.
const maxPack = 8 << 20

// requestJSON tells of a request for a further node.
type requestJSON struct {
	Kind string       `json:"kind"` // request
	Node api.NodeName `json:"node"`
	Out  string       `json:"out"`
}

// runJoinOwn makes a further node of a member: its request, or its home.
func runJoinOwn(opts *JoinOptions, gopts *GlobalOptions, args []string) error {
	dir, err := gopts.home()
	if err != nil {
		return err
	}
	pass, err := gopts.passphrase()
	if err != nil {
		return err
	}
	switch {
	case !opts.Own:
		return fail(api.CodeInvalid, "tipmesh join --help", "something is missing: a ticket")
	case len(args) > 0:
		return joinPack(gopts, dir, args[0], pass)
	case opts.Out == "":
		return fail(api.CodeInvalid, "tipmesh join --help", "--own needs --out FILE for the request, or the pack")
	}
	if gopts.DryRun {
		gopts.previewf("Make the keys of a further node in %s, and write its request to %s.", dir, opts.Out)
		return nil
	}
	request, again, err := home.RequestNode(dir, pass)
	if err != nil {
		return err
	}
	if again {
		gopts.notef("This home has asked before: the request is the same.")
	}
	if err := writeNew(opts.Out, []byte(request+"\n")); err != nil {
		return err
	}
	made, err := protocol.ParseNodeRequest(request)
	if err != nil {
		return err
	}
	id := transport.PeerID(made.Node)
	if gopts.JSON {
		return gopts.print(requestJSON{Kind: "request", Node: api.NodeName{ID: id, Key: made.Node.String()}, Out: opts.Out})
	}
	gopts.sayf("This node is %s: compare that when you name it.", id)
	gopts.sayf("Wrote %s. At a node of yours:  tipmesh card node add %s --out second.pack", opts.Out, opts.Out)
	gopts.sayf("Then, here:  %s", gopts.here("tipmesh join --own second.pack"))
	return nil
}

// ownNodeJSON tells of the home of a further node.
type ownNodeJSON struct {
	Kind   string       `json:"kind"` // own_node
	Mesh   string       `json:"mesh"`
	Member api.Name     `json:"member"`
	Node   api.NodeName `json:"node"`
	Home   string       `json:"home"`
}

func joinPack(gopts *GlobalOptions, dir, file string, pass []byte) error {
	sealed, err := readBounded(file, maxPack)
	if err != nil {
		return err
	}
	if gopts.DryRun {
		gopts.previewf("Make the home of a further node in %s.", dir)
		return nil
	}
	n, err := home.UnpackNode(dir, sealed, pass)
	switch {
	case errors.Is(err, home.ErrNoRequest):
		return fail(api.CodeNotFound, "tipmesh join --own --out FILE comes first", "%v", err)
	case errors.Is(err, home.ErrOtherPack):
		return fail(api.CodeInvalid, "give the pack that was made for the request of this home", "%v", err)
	case errors.Is(err, protocol.ErrMalformed):
		return fail(api.CodeInvalid, "at a node of yours: tipmesh card node add REQUEST --out PACK", "%s is no pack", file)
	case err != nil:
		return err
	}
	name := api.NodeName{ID: transport.PeerID(n.Node), Key: n.Node.String()}
	if gopts.JSON {
		return gopts.print(ownNodeJSON{Kind: "own_node", Mesh: n.Mesh.String(), Member: api.Name{ID: n.Member.String(), Name: n.Handle}, Node: name, Home: dir})
	}
	gopts.sayf("This home is a node of %s in %s: %s", clean(n.Handle), clean(n.MeshName), name.ID)
	gopts.sayf("It has no member key; commands that sign take --key-file. Next: %s", gopts.here("tipmesh run"))
	return nil
}
