package badger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Keys of the entries database: one letter, then the identifier.
const (
	keyMeta      = 'M' // M: format, incarnation
	keyStatement = 's' // s ID: the signed statement
	keyEntry     = 'e' // e feed seq part: header (part 0) and payload (part 1), side by side for Range
	keyFeed      = 'f' // f feed: see feed.record; rewritten with every entry
	keyMissing   = 'x' // x feed seq: the payload is not held, so that opening need not visit every entry
	keyErased    = 'z' // z feed: the payloads that went for good, as store.Ranges
	keyArrival   = 'a' // a number: place
	keyArrived   = 'r' // r feed seq: the number of the place's arrival
	keySetting   = 't' // t name: value
)

const (
	partHeader  = 0
	partPayload = 1
)

func statementKey(id protocol.StatementID) []byte {
	return append([]byte{keyStatement}, id[:]...)
}

func feedKey(id protocol.FeedID) []byte { return append([]byte{keyFeed}, id[:]...) }

func erasedKey(id protocol.FeedID) []byte { return append([]byte{keyErased}, id[:]...) }

func settingKey(name string) []byte { return append([]byte{keySetting}, name...) }

func arrivalKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyArrival}, number)
}

// placeKey is a letter, the feed, the sequence number and a suffix.
func placeKey(letter byte, p store.Place, suffix ...byte) []byte {
	key := make([]byte, 0, 1+32+8+len(suffix))
	key = append(key, letter)
	key = append(key, p.Feed[:]...)
	key = binary.BigEndian.AppendUint64(key, p.Seq)
	return append(key, suffix...)
}

func headerKey(p store.Place) []byte  { return placeKey(keyEntry, p, partHeader) }
func payloadKey(p store.Place) []byte { return placeKey(keyEntry, p, partPayload) }

// parsePlace reads the feed and the sequence number after a key's letter.
func parsePlace(key []byte) (store.Place, error) {
	if len(key) < 1+32+8 {
		return store.Place{}, fmt.Errorf("read key: %d bytes", len(key))
	}
	return store.Place{Feed: protocol.FeedID(key[1:33]), Seq: binary.BigEndian.Uint64(key[33:41])}, nil
}

func encodePlace(p store.Place) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 40), p.Feed[:]...), p.Seq)
}

func decodePlace(value []byte) (store.Place, error) {
	if len(value) != 40 {
		return store.Place{}, fmt.Errorf("read arrival: %d bytes", len(value))
	}
	return store.Place{Feed: protocol.FeedID(value[:32]), Seq: binary.BigEndian.Uint64(value[32:])}, nil
}

// Keys of the index. Digests are shortened: 16 bytes of SHA-256 are not
// searched for collisions by anyone, and full names stand in the rows.
const (
	indexMeta   = 'M' // M: see indexMetaValue; moves with the checkpoint
	indexDirty  = 'D' // D: the boot the index was open in; absent after a clean close
	indexCount  = 'H' // H: the sketch of Count
	indexObject = 'o' // o id16 member8 ^modified content8: the object's row
	indexValue  = 'v' // v value16 member8 id16 ^modified content8: nothing
	indexSite   = 'u' // u site: the value where it cannot be told from the key
	indexRef    = 'r' // r target12 ^arrival ^ordinal id16 member8: nothing
	indexWord   = 'w' // w token 0 ^arrival ^ordinal id16 member8: nothing
)

const (
	objectKeyLen = 1 + 16 + 8 + 8 + 8
	valueKeyLen  = 1 + 16 + 8 + 16 + 8 + 8
)

// version is what follows a member and an ID in keys: newest first, and apart
// where one version says two things.
func appendVersion(key []byte, o *store.Object) []byte {
	// Flipping the sign bit orders times before 1970 too.
	key = binary.BigEndian.AppendUint64(key, ^(uint64(o.Modified) ^ 1<<63))
	return append(key, o.Content[:]...)
}

func objectKey(id [32]byte, o *store.Object) []byte {
	key := make([]byte, 0, objectKeyLen)
	key = append(key, indexObject)
	key = append(key, id[:16]...)
	key = append(key, o.Member[:8]...)
	return appendVersion(key, o)
}

func valueKey(v store.Value, id [32]byte, o *store.Object) []byte {
	sum := sumOfValue(v)
	key := make([]byte, 0, valueKeyLen)
	key = append(key, indexValue)
	key = append(key, sum[:16]...)
	key = append(key, o.Member[:8]...)
	key = append(key, id[:16]...)
	return appendVersion(key, o)
}

func sumOfValue(v store.Value) [32]byte {
	var buf [128]byte
	b := append(buf[:0], v.Type...)
	b = append(b, 0)
	return sha256.Sum256(append(b, v.Text...))
}

func sumOfID(stixID string) [32]byte {
	var buf [96]byte
	return sha256.Sum256(append(buf[:0], stixID...))
}
