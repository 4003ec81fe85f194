// SPDX-License-Identifier: Apache-2.0

// Package epic stores the one EPIC object, the configuration of the installation.
package epic
