// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/json"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// The methods below are what the protobuf code that is generated for the types
// around these expects of them. The generator writes the message from JSONText,
// so what is on the wire is one field with the JSON text.
//
// A value is written out twice when it is marshaled, once for its size and
// once for its bytes. The two agree because encoding/json is deterministic, and
// keeping the first would need a lock in a value that others read.

// Size implements the protobuf marshaling interface.
func (m *GatewaySpec) Size() int { return jsonSize(m) }

// Marshal implements the protobuf marshaling interface.
func (m *GatewaySpec) Marshal() ([]byte, error) { return jsonMarshal(m) }

// MarshalTo implements the protobuf marshaling interface.
func (m *GatewaySpec) MarshalTo(data []byte) (int, error) { return jsonMarshalTo(m, data) }

// MarshalToSizedBuffer implements the protobuf marshaling interface.
func (m *GatewaySpec) MarshalToSizedBuffer(data []byte) (int, error) {
	return jsonMarshalToSizedBuffer(m, data)
}

// Unmarshal implements the protobuf marshaling interface.
func (m *GatewaySpec) Unmarshal(data []byte) error { return jsonUnmarshal(m, data) }

// Size implements the protobuf marshaling interface.
func (m *HTTPRouteSpec) Size() int { return jsonSize(m) }

// Marshal implements the protobuf marshaling interface.
func (m *HTTPRouteSpec) Marshal() ([]byte, error) { return jsonMarshal(m) }

// MarshalTo implements the protobuf marshaling interface.
func (m *HTTPRouteSpec) MarshalTo(data []byte) (int, error) { return jsonMarshalTo(m, data) }

// MarshalToSizedBuffer implements the protobuf marshaling interface.
func (m *HTTPRouteSpec) MarshalToSizedBuffer(data []byte) (int, error) {
	return jsonMarshalToSizedBuffer(m, data)
}

// Unmarshal implements the protobuf marshaling interface.
func (m *HTTPRouteSpec) Unmarshal(data []byte) error { return jsonUnmarshal(m, data) }

// Size implements the protobuf marshaling interface.
func (m *TCPRouteSpec) Size() int { return jsonSize(m) }

// Marshal implements the protobuf marshaling interface.
func (m *TCPRouteSpec) Marshal() ([]byte, error) { return jsonMarshal(m) }

// MarshalTo implements the protobuf marshaling interface.
func (m *TCPRouteSpec) MarshalTo(data []byte) (int, error) { return jsonMarshalTo(m, data) }

// MarshalToSizedBuffer implements the protobuf marshaling interface.
func (m *TCPRouteSpec) MarshalToSizedBuffer(data []byte) (int, error) {
	return jsonMarshalToSizedBuffer(m, data)
}

// Unmarshal implements the protobuf marshaling interface.
func (m *TCPRouteSpec) Unmarshal(data []byte) error { return jsonUnmarshal(m, data) }

// Size implements the protobuf marshaling interface.
func (m *GRPCRouteSpec) Size() int { return jsonSize(m) }

// Marshal implements the protobuf marshaling interface.
func (m *GRPCRouteSpec) Marshal() ([]byte, error) { return jsonMarshal(m) }

// MarshalTo implements the protobuf marshaling interface.
func (m *GRPCRouteSpec) MarshalTo(data []byte) (int, error) { return jsonMarshalTo(m, data) }

// MarshalToSizedBuffer implements the protobuf marshaling interface.
func (m *GRPCRouteSpec) MarshalToSizedBuffer(data []byte) (int, error) {
	return jsonMarshalToSizedBuffer(m, data)
}

// Unmarshal implements the protobuf marshaling interface.
func (m *GRPCRouteSpec) Unmarshal(data []byte) error { return jsonUnmarshal(m, data) }

// Size implements the protobuf marshaling interface.
func (m *TLSRouteSpec) Size() int { return jsonSize(m) }

// Marshal implements the protobuf marshaling interface.
func (m *TLSRouteSpec) Marshal() ([]byte, error) { return jsonMarshal(m) }

// MarshalTo implements the protobuf marshaling interface.
func (m *TLSRouteSpec) MarshalTo(data []byte) (int, error) { return jsonMarshalTo(m, data) }

// MarshalToSizedBuffer implements the protobuf marshaling interface.
func (m *TLSRouteSpec) MarshalToSizedBuffer(data []byte) (int, error) {
	return jsonMarshalToSizedBuffer(m, data)
}

// Unmarshal implements the protobuf marshaling interface.
func (m *TLSRouteSpec) Unmarshal(data []byte) error { return jsonUnmarshal(m, data) }

// Size implements the protobuf marshaling interface.
func (m *UDPRouteSpec) Size() int { return jsonSize(m) }

// Marshal implements the protobuf marshaling interface.
func (m *UDPRouteSpec) Marshal() ([]byte, error) { return jsonMarshal(m) }

// MarshalTo implements the protobuf marshaling interface.
func (m *UDPRouteSpec) MarshalTo(data []byte) (int, error) { return jsonMarshalTo(m, data) }

// MarshalToSizedBuffer implements the protobuf marshaling interface.
func (m *UDPRouteSpec) MarshalToSizedBuffer(data []byte) (int, error) {
	return jsonMarshalToSizedBuffer(m, data)
}

// Unmarshal implements the protobuf marshaling interface.
func (m *UDPRouteSpec) Unmarshal(data []byte) error { return jsonUnmarshal(m, data) }

// Size implements the protobuf marshaling interface.
func (m *BackendTLSValidation) Size() int { return jsonSize(m) }

// Marshal implements the protobuf marshaling interface.
func (m *BackendTLSValidation) Marshal() ([]byte, error) { return jsonMarshal(m) }

// MarshalTo implements the protobuf marshaling interface.
func (m *BackendTLSValidation) MarshalTo(data []byte) (int, error) { return jsonMarshalTo(m, data) }

// MarshalToSizedBuffer implements the protobuf marshaling interface.
func (m *BackendTLSValidation) MarshalToSizedBuffer(data []byte) (int, error) {
	return jsonMarshalToSizedBuffer(m, data)
}

// Unmarshal implements the protobuf marshaling interface.
func (m *BackendTLSValidation) Unmarshal(data []byte) error { return jsonUnmarshal(m, data) }

// asText is the message that stands for value.
func asText[T any](value *T) (*JSONText, error) {
	if value == nil {
		return &JSONText{}, nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return &JSONText{Raw: raw}, nil
}

// jsonSize has no way to report an error; the marshaling that follows does.
func jsonSize[T any](value *T) int {
	text, err := asText(value)
	if err != nil {
		return 0
	}
	return text.Size()
}

func jsonMarshal[T any](value *T) ([]byte, error) {
	text, err := asText(value)
	if err != nil {
		return nil, err
	}
	return text.Marshal()
}

func jsonMarshalTo[T any](value *T, data []byte) (int, error) {
	text, err := asText(value)
	if err != nil {
		return 0, err
	}
	return text.MarshalTo(data)
}

func jsonMarshalToSizedBuffer[T any](value *T, data []byte) (int, error) {
	text, err := asText(value)
	if err != nil {
		return 0, err
	}
	return text.MarshalToSizedBuffer(data)
}

func jsonUnmarshal[T any](value *T, data []byte) error {
	var zero T
	*value = zero
	text := JSONText{}
	if err := text.Unmarshal(data); err != nil {
		return err
	}
	if len(text.Raw) == 0 {
		return nil
	}
	return utiljson.Unmarshal(text.Raw, value)
}
