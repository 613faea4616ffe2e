package api

import (
	"context"
	"net/http"
	"net/url"
)

// Suspend suspends a member.
func (c *Client) Suspend(ctx context.Context, q Suspend) (*Suspension, error) {
	out := new(Suspension)
	return out, c.send(ctx, http.MethodPost, PathSuspend, q, out)
}

// PinChange takes a change of governors for the one that counts at this node.
func (c *Client) PinChange(ctx context.Context, ref string) (*Proposal, error) {
	out := new(Proposal)
	return out, c.call(ctx, http.MethodPost, PathProposals+"/"+url.PathEscape(ref)+"/pin", nil, out)
}
