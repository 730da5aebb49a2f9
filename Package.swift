// swift-tools-version: 6.2
import PackageDescription

// Where PostgreSQL's server headers are: the Makefile asks pg_config and passes the answer on, so that no path is
// written down here. Without it (an editor, a bare `swift build`) Debian's place for PostgreSQL 15 is tried.
let serverHeaders =
  Context.environment["PG_INCLUDEDIR_SERVER"] ?? "/usr/include/postgresql/15/server"

// Counts the Swift frames under every server call and every callback; set for the builds that tests run against.
let debugChecks: [CSetting] =
  Context.environment["WARDEN_DEBUG"] == "1" ? [.define("WARDEN_DEBUG")] : []

// Has the server's log tell what decisions take; set by bench/guards.py alone.
let measurements: [CSetting] =
  Context.environment["WARDEN_MEASURE"] == "1" ? [.define("WARDEN_MEASURE")] : []

let package = Package(
  name: "pg_warden",
  products: [
    .library(name: "pg_warden", type: .dynamic, targets: ["CShim", "Interceptor", "Contract"])
  ],
  targets: [
    .target(name: "Contract"),
    .target(
      name: "CShim",
      dependencies: ["Contract"],
      cSettings: [
        // -isystem, not -I: the server's headers are not ours to warn about.
        .unsafeFlags(["-isystem", serverHeaders, "-std=gnu11", "-Wall", "-Wextra", "-Werror"])
      ] + debugChecks + measurements,
      // Here and not with the core: they are for the library alone, and the unit tests link the core.
      linkerSettings: [
        // The dynamic runtime would have to be installed on every server, and installs crash handlers
        // in the postmaster that print SQL text into the server log. --static-swift-stdlib is ignored
        // for dynamic products; this is not.
        .unsafeFlags(["-static-stdlib"]),
        // Nothing but what PostgreSQL looks up by name leaves the library.
        .unsafeFlags(["-Xlinker", "--version-script=\(Context.packageDirectory)/pg_warden.exports"]),
      ]
    ),
    .target(
      name: "Interceptor",
      dependencies: ["Contract"],
      swiftSettings: [
        .strictMemorySafety(),
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
      ]
    ),
    // Arbitrary input for the core: for the tests, and for libFuzzer (ci/fuzz.sh).
    .target(
      name: "FuzzCases", dependencies: ["Contract"], path: "Tests/FuzzCases", exclude: ["corpus.txt"],
      swiftSettings: [.treatAllWarnings(as: .error)]),
    .testTarget(
      name: "InterceptorTests",
      dependencies: ["Interceptor", "Contract", "FuzzCases"],
      swiftSettings: [.treatAllWarnings(as: .error)]
    ),
    // libpq, for the tests that drive a server.
    .systemLibrary(name: "CLibpq", path: "Tests/Libpq", pkgConfig: "libpq"),
    .testTarget(
      name: "ServerTests",
      dependencies: ["CLibpq"],
      swiftSettings: [.treatAllWarnings(as: .error)]
    ),
  ]
)
