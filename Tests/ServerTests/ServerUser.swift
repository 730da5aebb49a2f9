import Foundation

/// Where this PostgreSQL keeps its things. PG_CONFIG chooses among several.
enum PgConfig {
    static let bindir = ask("--bindir")
    static let pkglibdir = ask("--pkglibdir")

    static func hasLibrary(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(pkglibdir)/\(name).so")
    }

    private static func ask(_ option: String) -> String {
        let command = ProcessInfo.processInfo.environment["PG_CONFIG"] ?? "pg_config"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [command, option]
        return (try? output(of: process)) ?? "/no-such-directory"
    }
}

/// The operating system's user that server processes run as: they refuse to run as root.
enum ServerUser {
    private static let switchUser =
        getuid() == 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] : []

    static func process(_ command: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = switchUser + command
        // The current folder may be closed to that user.
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        // PGOPTIONS, PGSERVICE and the like are about other servers.
        process.environment = ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("PG") }
            .merging(["LC_ALL": "C", "TZ": "UTC"]) { $1 }
        return process
    }

    static func run(_ command: [String]) throws -> String {
        try output(of: process(command))
    }

    /// Owned by the server's user. In /tmp, unless TMPDIR says otherwise: a socket's path has room for 107 bytes.
    static func makeDirectory() throws -> String {
        let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        return try run(["mktemp", "-d", "\(parent)/pg_warden_test.XXXXXX"])
    }
}

/// Runs to the end. Standard output, trimmed; throws with standard error when the command fails.
private func output(of process: Process) throws -> String {
    let result = Pipe()
    let complaint = Pipe()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = result
    process.standardError = complaint
    try process.run()
    let data = result.fileHandleForReading.readDataToEndOfFile()
    let errors = complaint.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        let command = (process.arguments ?? []).joined(separator: " ")
        throw HarnessError("\(command): status \(process.terminationStatus)\n\(String(decoding: errors, as: UTF8.self))")
    }
    return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
}
