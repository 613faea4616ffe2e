package intake

import (
	"github.com/tipmesh/tipmesh/internal/stix"
)

// contextTypes are the objects of which CTA's rule wants one beside indicators.
var contextTypes = map[string]bool{
	"malware": true, "threat-actor": true, "attack-pattern": true, "campaign": true, "intrusion-set": true, "tool": true,
	"vulnerability": true, "report": true, "malware-analysis": true, "infrastructure": true, "incident": true,
}

// survey reads the facts of STIX objects, finds how strict they are and whether
// they bring context.
func (out *Composed) survey(objects []stix.Object) []stix.Facts {
	facts := make([]stix.Facts, len(objects))
	asked := out.TLP
	indicators, context := 0, false
	for i := range objects {
		f := stix.FactsOf(objects[i])
		facts[i] = f
		context = context || contextTypes[f.Type]
		if f.Type == "indicator" {
			indicators++
		}
		if f.Type == "marking-definition" || f.TLP.Rank() <= asked.Rank() {
			continue
		}
		out.RaisedBy++
		if f.TLP.Rank() > out.TLP.Rank() {
			out.TLP, out.Raised = f.TLP, f.ID
		}
	}
	if !context {
		out.NoContext = indicators
	}
	return facts
}

// object shares one STIX object as it came.
func (c *composer) object(o *stix.Object, f *stix.Facts) {
	if repeated(o.Type) {
		return // the packer puts it where it is needed
	}
	c.out.IDs = append(c.out.IDs, o.ID)
	leave := func(text string, refused bool) {
		c.out.LeftOut = append(c.out.LeftOut, LeftOut{Value: o.ID, Reason: "duplicate", Text: text, Refused: refused})
	}
	held, ok := c.o.Held(o.ID)
	switch {
	case !ok:
	case held.Revoked:
		leave("withdrawn before, for good: what is said anew needs another id", true)
		return
	case sameContent(o, held):
		leave("shared before, unchanged", false)
		return
	case o.Modified.IsZero(): // observables have no versions
	case o.Modified.Before(held.Modified):
		leave("a newer version was shared before", false)
		return
	case o.Modified.Equal(held.Modified):
		leave("shared before with the same modified and other content: an author must give a new version a new time", true)
		return
	}
	c.pack.add(*o)
}
