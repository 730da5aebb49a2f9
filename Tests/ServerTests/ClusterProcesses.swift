import Foundation

/// The processes of a server, to be stopped and killed, and its spool, to be spoilt.
extension Cluster {
  func postmaster() throws -> Int32 {
    let file = try String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8)
    guard let process = Int32(file.prefix { $0 != "\n" }) else { throw HarnessError("postmaster.pid: \(file)") }
    return process
  }

  /// Kills every process of the server at once, as the kernel or a power switch would. `start` starts it again.
  func killAll() throws {
    let postmaster = try postmaster()
    // It starts no process meanwhile, and none is told of another's end.
    kill(postmaster, SIGSTOP)
    let processes = Cluster.children(of: postmaster) + [postmaster]
    for process in processes { kill(process, SIGKILL) }
    try waitUntil("all processes are gone") {
      // One that nobody collects is a zombie: it has no executable any more.
      !processes.contains { FileManager.default.fileExists(atPath: "/proc/\($0)/exe") }
    }
    // A zombie's number would keep the server from starting.
    for lock in [data + "/postmaster.pid", socketDirectory + "/.s.PGSQL.5432.lock"] {
      try FileManager.default.removeItem(atPath: lock)
    }
  }

  private static func children(of parent: Int32) -> [Int32] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.compactMap { Int32($0) }.filter { process in
      guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
        let name = stat.lastIndex(of: ")")
      else { return false }
      // Behind the name: the state, then the parent.
      return stat[name...].split(separator: " ").dropFirst(2).first.flatMap { Int32($0) } == parent
    }
  }

  /// Processes of this type (pg_stat_activity.backend_type), in all databases or in one.
  func processes(_ type: String, database: String? = nil) throws -> [Int32] {
    try connect().query(
      "SELECT pid FROM pg_stat_activity WHERE backend_type = $1 AND ($2::text IS NULL OR datname = $2)", type, database
    ).rows.compactMap { $0.first.flatMap { $0 }.flatMap { Int32($0) } }
  }

  // MARK: The spool

  var spoolPath: String { data + "/pg_warden/spool" }
  static let spoolPage = 4096

  func readSpool() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: spoolPath)) }

  /// Overwrites part of the spool of a server that is down.
  func writeSpool(_ bytes: Data, at offset: Int) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: spoolPath))
    try file.seek(toOffset: UInt64(offset))
    try file.write(contentsOf: bytes)
    try file.close()
  }

  /// How many rings the spool has: their headers follow its first page, one page each.
  func spoolRings() throws -> Int {
    try readSpool().withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) }
  }
}

extension Shop {
  /// The process of this database's audit writer; waits until there is one.
  func writer() throws -> Int32 {
    var found: Int32?
    try waitUntil("there is an audit writer") {
      try admin.query("SELECT 1")
      found = try cluster.processes("pg_warden writer", database: database).first
      return found != nil
    }
    return found ?? 0
  }

  /// After a crash: connects as soon as the server lets it.
  func reconnectPatiently() throws {
    try waitUntil("the server takes connections") {
      do {
        try reconnect()
        return true
      } catch is ServerError {
        return false
      }
    }
  }

  func gaps() throws -> Int {
    try admin.query("SELECT warden.flush()")
    return Int(try admin.query("SELECT count(*) FROM warden.audit_log WHERE event = 'gap'").value ?? "") ?? -1
  }
}
