package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Search calls fn for every hit of one answer, newest first.
func (c *Client) Search(ctx context.Context, r SearchRequest, fn func(*Hit) error) (*SearchSummary, error) {
	var summary *SearchSummary
	err := c.lines(ctx, http.MethodPost, "/v1/search", r, func(kind string, line []byte) error {
		switch kind {
		case "hit":
			h := new(Hit)
			if err := json.Unmarshal(line, h); err != nil {
				return err
			}
			return fn(h)
		case "summary":
			summary = new(SearchSummary)
			return json.Unmarshal(line, summary)
		}
		return nil
	})
	if err == nil && summary == nil {
		err = Errorf(CodeUnavailable, "the node stopped in the middle of its answer")
	}
	return summary, err
}

// Searches lists the saved ones.
func (c *Client) Searches(ctx context.Context) ([]SavedSearch, error) {
	return list[SavedSearch](ctx, c, "/v1/searches", "search")
}

// SaveSearch keeps a query under a name, in place of what had the name.
func (c *Client) SaveSearch(ctx context.Context, name, query string) (*SavedSearch, error) {
	out := new(SavedSearch)
	return out, c.send(ctx, http.MethodPut, "/v1/searches/"+url.PathEscape(name), SearchRequest{Query: query}, out)
}

// ForgetSearch drops a saved search.
func (c *Client) ForgetSearch(ctx context.Context, name string) (*SavedSearch, error) {
	out := new(SavedSearch)
	return out, c.send(ctx, http.MethodDelete, "/v1/searches/"+url.PathEscape(name), nil, out)
}
