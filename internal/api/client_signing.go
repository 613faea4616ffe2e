package api

import (
	"context"
	"net/http"
	"net/url"
)

// Prepare makes a call that signs, and gives what is to be signed elsewhere
// instead: call it with the method, path and question of the act.
func (c *Client) Prepare(ctx context.Context, method, path string, question any) (*Prepared, error) {
	out := new(Prepared)
	return out, c.send(ctx, method, path+"?"+url.Values{prepareQuery: {"true"}}.Encode(), question, out)
}

// Statements brings in what was signed elsewhere.
func (c *Client) Statements(ctx context.Context, raws [][]byte) (*Brought, error) {
	out := new(Brought)
	return out, c.send(ctx, http.MethodPost, PathStatements, Statements{Statements: raws}, out)
}

// Paths of calls that sign, for Prepare and Act.
const (
	PathStatements = "/v1/statements"
	PathCard       = "/v1/card"
	PathNodes      = "/v1/card/nodes"
	PathRetire     = "/v1/card/retire"
	PathRenew      = "/v1/card/renew"
	PathAge        = "/v1/card/age"
	PathTakeover   = "/v1/card/takeover"
	PathProposals  = "/v1/roster/proposals"
	PathSuspend    = "/v1/roster/suspensions"
)

// ChangeCard makes a call that changes this member's card.
func (c *Client) ChangeCard(ctx context.Context, path string, question any) (*Card, error) {
	out := new(Card)
	return out, c.send(ctx, http.MethodPost, path, question, out)
}

// Pack gives the pack for a further node that the card names.
func (c *Client) Pack(ctx context.Context, request string) (*Pack, error) {
	out := new(Pack)
	return out, c.send(ctx, http.MethodPost, "/v1/card/pack", NodeRequest{Request: request}, out)
}

// SignPath is the path of the call that signs a proposal.
func SignPath(ref string) string { return PathProposals + "/" + url.PathEscape(ref) + "/sign" }
