package api

// Prepared are statements that are still to be signed with the member key, where
// that is. Every call that signs gives them, instead of doing anything, with the
// query prepare=true; once signed they come in by POST /v1/statements.
type Prepared struct {
	Kind     string    `json:"kind"`     // prepared
	Unsigned [][]byte  `json:"unsigned"` // base64: bodies to sign, in this order
	With     [][]byte  `json:"with"`     // base64: statements that go with them, signed already
	IDs      []string  `json:"ids"`      // of the bodies, as they will be
	Warnings []Warning `json:"warnings,omitempty"`
}

// Statements are signed statements to bring in.
type Statements struct {
	Statements [][]byte `json:"statements"` // base64
}

// SignAs says with which key a proposal is to be signed elsewhere; the question may
// be left out.
type SignAs struct {
	Recovery string `json:"recovery,omitempty"` // a recovery key of the charter, public, hexadecimal; else the member key
}

// Brought says which statements are held now.
type Brought struct {
	Kind string   `json:"kind"` // statements
	IDs  []string `json:"ids"`
}

// NodeRequest asks to name a node in the card, or for its pack.
type NodeRequest struct {
	Request string `json:"request"` // as tipmesh join --own wrote it
}

// NodeGone says which node to retire: peer ID, or key in hexadecimal, or the
// beginning of either.
type NodeGone struct {
	Node string `json:"node"`
}

// Pack is what a further node begins with.
type Pack struct {
	Kind string   `json:"kind"` // pack
	Node NodeName `json:"node"`
	Pack []byte   `json:"pack"` // base64; sealed to the node
}

// Takeover asks for the card by which the next member key takes over.
type Takeover struct {
	Key   string `json:"key"`             // the next member key, public, hexadecimal
	Next  string `json:"next"`            // the member key to follow it, public, hexadecimal
	After uint64 `json:"after,omitempty"` // version of the last card of the old key that is to count; 0: the present one
}

// Guest is a joiner with a ticket that was made here, whom the member is still to
// propose: its key is kept elsewhere.
type Guest struct {
	Member  Name     `json:"member"`
	Title   string   `json:"title"`
	Contact string   `json:"contact"`
	Words   []string `json:"words"`
}
