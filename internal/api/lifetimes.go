package api

import "github.com/tipmesh/tipmesh/protocol"

// Lifetimes are how long what is said of a type of value holds, in seconds; as part
// of Propose, those to change: nil leaves one as it is, 0 is the default.
type Lifetimes struct {
	AddressS     *float64 `json:"address_s,omitempty"`
	URLS         *float64 `json:"url_s,omitempty"`
	DomainS      *float64 `json:"domain_s,omitempty"`
	MailS        *float64 `json:"mail_s,omitempty"`
	CertificateS *float64 `json:"certificate_s,omitempty"`
	HashS        *float64 `json:"hash_s,omitempty"`
}

// ruleTime is a time of the house rules to set.
type ruleTime struct {
	to   *uint64
	from *float64
}

// timesOf pairs lifetimes of the rules with what to change of them; c may be nil.
func timesOf(l *protocol.Lifetimes, c *Lifetimes) []ruleTime {
	if c == nil {
		return nil
	}
	return []ruleTime{{&l.AddressSeconds, c.AddressS}, {&l.URLSeconds, c.URLS}, {&l.DomainSeconds, c.DomainS},
		{&l.MailSeconds, c.MailS}, {&l.CertificateSeconds, c.CertificateS}, {&l.HashSeconds, c.HashS}}
}

// lifetimesOf gives lifetimes with the defaults filled in.
func lifetimesOf(l protocol.Lifetimes) *Lifetimes {
	seconds := func(n int64) *float64 { f := float64(n); return &f }
	return &Lifetimes{AddressS: seconds(l.Address()), URLS: seconds(l.URL()), DomainS: seconds(l.Domain()), MailS: seconds(l.Mail()),
		CertificateS: seconds(l.Certificate()), HashS: seconds(l.Hash())}
}
