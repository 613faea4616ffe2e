package intake

import (
	"time"

	"github.com/google/uuid"

	"github.com/tipmesh/tipmesh/internal/stix"
)

// mostAgain bounds how often one thing can be withdrawn and said anew.
const mostAgain = 1000

// Withdrawal is what the author withdraws.
type Withdrawal struct {
	Author         stix.Author
	AuthorModified time.Time // when the author's identity last changed; zero: never
	TLP            stix.TLP  // of all objects
	Why            stix.Why
	Objects        []stix.Object // their newest versions
	Now            time.Time
}

// ComposeWithdrawal makes the bundles that revoke objects. Each holds the author,
// the TLP marking and some of the revoked versions.
func ComposeWithdrawal(w Withdrawal) (bundles [][]byte, err error) {
	p := &packer{plain: true}
	p.prepare(ComposeOptions{Author: w.Author, AuthorModified: w.AuthorModified, Handling: stix.Handling{TLP: w.TLP}}, nil, nil)
	for _, o := range w.Objects {
		modified := w.Now
		// A clock that was set back must not make the revocation the older version.
		if next := o.Modified.Add(time.Millisecond); modified.Before(next) {
			modified = next
		}
		revoked, err := stix.Revoke(o, w.Why, modified)
		if err != nil {
			return nil, err
		}
		p.add(revoked)
	}
	p.flush()
	return p.bundles, nil
}

// bundleID names a bundle.
func bundleID() string { return "bundle--" + uuid.NewString() }

// unwithdrawn gives what is said under an identifier that has not been withdrawn:
// the object's own, or the next one.
func (c *composer) unwithdrawn(o stix.Object) stix.Object {
	first := o
	for n := 2; n < mostAgain; n++ {
		if held, ok := c.heldAs(o.ID); !ok || !held.Revoked {
			break
		}
		o = stix.Again(first, n)
	}
	return o
}
