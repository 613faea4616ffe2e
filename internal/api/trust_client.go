package api

import (
	"context"
	"net/http"
	"net/url"
)

// Trust lists what is decided about every other member, the default line last.
func (c *Client) Trust(ctx context.Context) ([]Trust, error) {
	return list[Trust](ctx, c, "/v1/trust", "trust")
}

// SetTrust decides about a member, or about "others".
func (c *Client) SetTrust(ctx context.Context, who string, change TrustChange) (*Trust, error) {
	out := new(Trust)
	return out, c.send(ctx, http.MethodPut, "/v1/trust/"+url.PathEscape(who), change, out)
}

// PlanTrust says what a change of the trust list would do.
func (c *Client) PlanTrust(ctx context.Context, q TrustPlanRequest) (*TrustPlan, error) {
	out := new(TrustPlan)
	return out, c.send(ctx, http.MethodPost, "/v1/trust/plan", q, out)
}

// ApplyTrust has the trust list become what a file says.
func (c *Client) ApplyTrust(ctx context.Context, q TrustApplyRequest) (*TrustPlan, error) {
	out := new(TrustPlan)
	return out, c.send(ctx, http.MethodPost, "/v1/trust/apply", q, out)
}

// TrustHistory lists the changes of the trust list, newest first: those about one
// member or "others", or, where who is empty, all.
func (c *Client) TrustHistory(ctx context.Context, who string) ([]TrustRecord, error) {
	path := "/v1/trust/history"
	if who != "" {
		path += "?" + url.Values{"who": {who}}.Encode()
	}
	return list[TrustRecord](ctx, c, path, "record")
}

// TrustFile gives the trust list as a file.
func (c *Client) TrustFile(ctx context.Context) (*TrustFile, error) {
	out := new(TrustFile)
	return out, c.call(ctx, http.MethodGet, "/v1/trust/file", nil, out)
}
