package observable

import "strings"

// Defanged writes the value for eyes, so that no program makes a link of it: the last dot of a host or address
// in brackets (the last colon of an IPv6 address), hxxp for http, and [@] in mail addresses. Hashes and file
// names are left as they are. Parse reads it back.
func (v Value) Defanged() string {
	switch v.Type {
	case IPv4, Domain, IPv6:
		return defangHost(v.Text)
	case IPv4Net, IPv6Net:
		host, bits, _ := strings.Cut(v.Text, "/")
		return defangHost(host) + "/" + bits
	case Email:
		at := strings.LastIndexByte(v.Text, '@')
		return v.Text[:at] + "[@]" + defangHost(v.Text[at+1:])
	case URL:
		return defangURL(v.Text)
	}
	return v.Text
}

// Defang writes any text of one value for eyes; text that is no value comes back as it is.
func Defang(s string) string {
	v, err := Parse(s)
	if err != nil || looksLikeFile(v.Text) && v.Type == Domain {
		return s
	}
	return v.Defanged()
}

func defangHost(h string) string {
	if strings.Contains(h, ":") {
		i := strings.LastIndexByte(h, ':')
		return h[:i] + "[:]" + h[i+1:]
	}
	if i := strings.LastIndexByte(h, '.'); i >= 0 {
		return h[:i] + "[.]" + h[i+1:]
	}
	return h
}

func defangURL(s string) string {
	p := splitURL(s)
	scheme := p.scheme
	switch scheme {
	case "http", "https":
		scheme = "hxxp" + scheme[4:]
	case "ftp":
		scheme = "fxp"
	}
	host := defangHost(p.host)
	if strings.Contains(p.host, ":") {
		host = "[" + host + "]"
	}
	if p.port != "" {
		host += ":" + p.port
	}
	return scheme + "://" + p.user + host + p.rest
}
