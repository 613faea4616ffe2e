package api

import (
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
)

// proposeRules proposes house rules: the present ones with what is changed.
func (s *Server) proposeRules(q *Propose) (protocol.Content, error) {
	if q.Rules == nil {
		return nil, Errorf(CodeInvalid, "which rules? Give a file, or the rules to change")
	}
	r := s.n.Roster()
	rules, c := r.Rules, q.Rules
	if c.TLP != nil {
		rules.TLP = strings.ToLower(*c.TLP)
	}
	if c.PAP != nil {
		rules.PAP = strings.ToLower(*c.PAP)
	}
	if c.Context != nil {
		rules.Context = 0
		if *c.Context {
			rules.Context = 1
		}
	}
	times := append(timesOf(&rules.Lifetimes, c.Lifetimes), ruleTime{&rules.AnswerSeconds, c.AnswerS}, ruleTime{&rules.ErasureSeconds, c.ErasureS},
		ruleTime{&rules.CutOffSeconds, c.CutOffS}, ruleTime{&rules.FreshSeconds, c.FreshS}, ruleTime{&rules.SettleSeconds, c.SettleS},
		ruleTime{&rules.EpochWaitMillis, c.EpochWaitMS})
	for _, x := range times {
		if x.from == nil {
			continue
		}
		if *x.from < 0 || *x.from > 1e12 {
			return nil, Errorf(CodeInvalid, "a time of the house rules is out of range")
		}
		*x.to = uint64(*x.from)
	}
	if c.Text != nil {
		rules.Text = *c.Text
	}
	if rules == r.Rules {
		return nil, Errorf(CodeConflict, "these are the house rules already")
	}
	return &protocol.HouseRules{Prev: r.RulesAt, Line: r.Line, Rules: rules, Why: q.Why}, nil
}

// rulesOf gives house rules with the defaults filled in.
func rulesOf(r protocol.Rules) *HouseRules {
	seconds := func(n int64) *float64 { f := float64(n); return &f }
	strict := r.Context == 1
	out := &HouseRules{TLP: &r.TLP, PAP: &r.PAP, Context: &strict, AnswerS: seconds(int64(r.AnswerSeconds)), ErasureS: seconds(r.Erasure()), // #nosec G115 -- at most ten years
		CutOffS: seconds(int64(r.CutOffSeconds)), FreshS: seconds(r.Fresh()), SettleS: seconds(r.Settle()), EpochWaitMS: seconds(r.EpochWait()),
		Lifetimes: lifetimesOf(r.Lifetimes)} // #nosec G115
	if r.Text != "" {
		out.Text = &r.Text
	}
	return out
}
