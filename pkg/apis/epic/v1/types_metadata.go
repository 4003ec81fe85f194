// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"bytes"
	"errors"
)

// DroppedMetadata is the metadata of a client's object, which EPIC does not use. It accepts
// any JSON object, discards it, and reads back as an empty object.
type DroppedMetadata struct{}

var errNotAnObject = errors.New("must be an object")

// UnmarshalJSON accepts any object, however strict the decoder is.
func (*DroppedMetadata) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if bytes.Equal(data, []byte("null")) || bytes.HasPrefix(data, []byte("{")) {
		return nil
	}
	return errNotAnObject
}

// MarshalJSON writes an empty object.
func (DroppedMetadata) MarshalJSON() ([]byte, error) {
	return []byte("{}"), nil
}

// OpenAPISchemaType indicates that this is an object.
func (DroppedMetadata) OpenAPISchemaType() []string { return []string{"object"} }

// OpenAPISchemaFormat indicates that the object has no particular format.
func (DroppedMetadata) OpenAPISchemaFormat() string { return "" }
