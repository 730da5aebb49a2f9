/* SwiftPM wants a public header folder; the shim has nothing public. */
