package protocol

// Version is the only version of every document so far. A document of another
// version is ignored and never held against the peer that relayed it.
const Version = 1

// Sizes, in bytes unless said otherwise. A document over its limit is refused
// before it is decoded.
const (
	MaxStatement     = 256 << 10 // a signed statement
	MaxHeader        = 1 << 10   // a signed entry header
	MaxPayload       = 4 << 20   // a sealed payload, as carried
	MaxOpened        = 8 << 20   // a sealed payload, opened
	MaxInline        = 32 << 10  // a payload that gossip carries beside its header
	MaxEpoch         = 256 << 10 // a signed epoch
	MaxAudienceState = 128 << 10 // a signed audience state
	MaxTicket        = 1 << 20   // a ticket with charter and line
)

// Counts.
const (
	MaxGovernors      = 64   // governors of a mesh
	MaxReaders        = 1024 // readers of an epoch; age's own limit is of this order
	MaxDepartures     = 4096 // departures named by an epoch
	MaxNodes          = 8    // nodes named by a card
	MaxRetired        = 64   // retired nodes named by a card
	MaxCuts           = 1024 // feeds named by a cut
	MaxAccepts        = 4096 // operations named by a change of governors
	MaxGrantEpochs    = 64   // epochs in one letter
	MaxDeputies       = 8    // deputies of an audience
	MaxCardsPerMember = 256  // cards a member key may sign
	MaxOpenProposals  = 16   // proposals a member may hold open
	MaxLine           = 256  // changes of governors in a ticket
	MaxParts          = 256  // parts of a letter
	MaxLeavers        = 1024 // members that left an audience
	MaxSeen           = 64   // rival states named by an audience state
	MaxRetention      = 255  // weeks: the greatest retention class
	MaxErased         = 1024 // runs of entries named by an erasure
	MaxAddresses      = 16   // addresses in a ticket
)

// Text lengths, in bytes of UTF-8.
const (
	MaxHandle    = 32
	MaxName      = 128
	MaxText      = 1024  // reasons, contacts
	MaxRules     = 65536 // the text of the house rules
	MaxLabel     = 64    // sectors, regions, topics
	MaxLabels    = 32
	MaxRecipient = 2100 // an age recipient; hybrid ones have 1,959 characters
	MaxIdentity  = 512  // an age identity
	MaxAddress   = 256
)

// MaxSeq is the highest sequence number of an entry.
const MaxSeq = 1 << 40

// MaxSuspension is how long one suspension lasts at most, in seconds.
const MaxSuspension = 72 * 3600

// MaxAhead is how far past a feed's held head an entry may lie and still be
// parked until the gap is filled.
const MaxAhead = 256

// MaxFeedsHeld is how many feeds a node follows in all, and believes a
// neighbour to hold.
const MaxFeedsHeld = 65536
