import Foundation

/// A private PostgreSQL cluster: own data directory, own Unix socket, no TCP.
///
/// Each cluster has a keeper, a shell that waits for the end of its standard input and then stops the server and
/// removes the directory. The test process holds the other end of that pipe, so that the keeper also does its work
/// when the test process crashes or is killed.
final class Cluster {
  let socketDirectory: String
  private let base: String
  private let keeper: pid_t
  /// Variables that the server has besides, as `NAME=value`.
  private let environment: [String]
  /// The keeper's standard input; nil once it was told to do its work.
  private var keeperInput: FileHandle?

  var data: String { base + "/data" }
  private var logFile: String { base + "/server.log" }

  /// - Parameter settings: lines of postgresql.conf, `name = value`.
  convenience init(_ settings: [String], environment: [String] = []) throws {
    try self.init(environment: environment) { data in
      [
        "\(PgConfig.bindir)/initdb", "--pgdata=\(data)", "--username=postgres", "--auth=trust",
        "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
      ]
    }
    try configure(Cluster.commonSettings + ["unix_socket_directories = '\(socketDirectory)'"] + settings)
    try start()
  }

  /// A copy by pg_basebackup, started: as a cluster of its own, or as a standby of the original.
  convenience init(backupOf original: Cluster, standby: Bool = false) throws {
    try self.init { data in
      [
        "\(PgConfig.bindir)/pg_basebackup", "--pgdata=\(data)", "--host=\(original.socketDirectory)",
        "--username=postgres", "--format=plain", "--wal-method=stream", "--checkpoint=fast", "--no-sync",
      ] + (standby ? ["--write-recovery-conf"] : [])
    }
    try configure(["unix_socket_directories = '\(socketDirectory)'"])
    try start()
  }

  /// - Parameter make: the command that makes the data directory.
  private init(environment: [String] = [], _ make: (String) -> [String]) throws {
    self.environment = environment
    base = try ServerUser.makeDirectory()
    socketDirectory = base + "/socket"
    let pipe = Command.closedInChildren(Pipe())
    let null = FileHandle.nullDevice.fileDescriptor
    keeper = try Command.spawn(
      ServerUser.switchUser + ["sh", "-c", Cluster.keeperScript, PgConfig.bindir, base],
      input: pipe.fileHandleForReading.fileDescriptor, output: null, error: null)
    keeperInput = pipe.fileHandleForWriting
    Cluster.stopAtExit(self)
    try ServerUser.run(make(data))
    try ServerUser.run(["mkdir", "-m", "700", socketDirectory])
  }

  private static let keeperScript = """
    while read -r line; do :; done
    "$0/pg_ctl" -D "$1/data" -m immediate -s stop
    rm -rf "$1"
    """

  private static let commonSettings = [
    "listen_addresses = ''",
    // The tests kill servers, never the machine.
    "fsync = off",
    "shared_buffers = 32MB",
    "max_connections = 60",
    // One writer per governed database, and each suite has a database.
    "max_worker_processes = 64",
    // A statement that hangs fails its test instead of the whole run.
    "statement_timeout = '120s'",
    "log_line_prefix = '%m [%p] %q%u@%d '",
  ]

  /// Appends to postgresql.conf; the last value of a setting counts. In force after the next start.
  func configure(_ settings: [String]) throws {
    let lines = settings.map { $0 + "\n" }.joined()
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: data + "/postgresql.conf"))
    try file.seekToEnd()
    try file.write(contentsOf: Data(lines.utf8))
    try file.close()
  }

  func start() throws {
    do {
      try ServerUser.run(
        ["env"] + environment + ["\(PgConfig.bindir)/pg_ctl", "-D", data, "-l", logFile, "-w", "-s", "start"])
    } catch {
      throw HarnessError("the server does not start:\n" + log().suffix(2000))
    }
  }

  enum StopMode: String { case fast, immediate }

  func shutDown(_ mode: StopMode = .fast) throws {
    try ServerUser.run(["\(PgConfig.bindir)/pg_ctl", "-D", data, "-m", mode.rawValue, "-w", "-s", "stop"])
  }

  func restart(_ mode: StopMode = .fast) throws {
    try shutDown(mode)
    try start()
  }

  /// Keeps the data directory of a stopped server as it is now, for `revert`.
  func save() throws {
    try ServerUser.run(["rm", "-rf", data + ".saved"])
    try ServerUser.run(["cp", "-a", data, data + ".saved"])
  }

  /// Puts back, under a stopped server, what `save` kept.
  func revert() throws {
    try ServerUser.run(["rm", "-rf", data])
    try ServerUser.run(["cp", "-a", data + ".saved", data])
  }

  /// Kills a backend as the kernel would for want of memory, and waits until the server has recovered.
  func killBackend(_ process: Int32) throws {
    // Connections are refused from now until the server is up again; before the postmaster notices, they are not.
    let starts = log().components(separatedBy: "ready to accept connections").count
    kill(process, SIGKILL)
    try waitUntil("the server has recovered") {
      log().components(separatedBy: "ready to accept connections").count > starts
    }
  }

  func log() -> String {
    (try? String(contentsOfFile: logFile, encoding: .utf8)) ?? ""
  }

  func connect(
    role: String = "postgres", database: String = "postgres", options: String = "", application: String = "test",
    more: [String: String] = [:]
  ) throws -> Connection {
    let parameters = [
      "host": socketDirectory, "user": role, "dbname": database, "options": options,
      "application_name": application, "client_encoding": "UTF8",
    ]
    return try Connection(parameters.merging(more) { $1 })
  }

  /// Puts lines before those of pg_hba.conf, in force at once.
  func authenticate(_ lines: [String]) throws {
    let file = URL(fileURLWithPath: data + "/pg_hba.conf")
    let old = try String(contentsOf: file, encoding: .utf8)
    // Not replaced by another file: this one is the server's user's.
    let handle = try FileHandle(forWritingTo: file)
    try handle.write(contentsOf: Data((lines.joined(separator: "\n") + "\n" + old).utf8))
    try handle.close()
    try reload()
  }

  func reload() throws {
    try ServerUser.run(["\(PgConfig.bindir)/pg_ctl", "-D", data, "-s", "reload"])
  }

  /// A file in the cluster's directory that the server may write to.
  func path(_ name: String) -> String { base + "/" + name }

  /// Stops the server for good and removes everything.
  func remove() {
    guard let input = keeperInput else { return }
    keeperInput = nil
    saveLog()
    try? input.close()
    Command.wait(for: keeper)
  }

  /// WARDEN_TEST_LOGS names a directory where server logs outlive their clusters, to look into a failure.
  private func saveLog() {
    guard let directory = ProcessInfo.processInfo.environment["WARDEN_TEST_LOGS"] else { return }
    let name = (base as NSString).lastPathComponent
    try? log().write(toFile: "\(directory)/\(name).log", atomically: true, encoding: .utf8)
  }

  deinit { remove() }
}

// MARK: - At exit

extension Cluster {
  /// Suites run one after another (`ServerTests` is serialized), so that nothing here is reached from two threads.
  private nonisolated(unsafe) static var running: [WeakCluster] = []

  private struct WeakCluster { weak var cluster: Cluster? }

  /// Clusters of static lifetime have no deinit; the run must not end before they are gone.
  private static func stopAtExit(_ cluster: Cluster) {
    if running.isEmpty {
      atexit { for entry in Cluster.running { entry.cluster?.remove() } }
    }
    running.append(WeakCluster(cluster: cluster))
  }
}

struct HarnessError: Error, CustomStringConvertible {
  let description: String
  init(_ description: some StringProtocol) { self.description = String(description) }
}

/// Polls; the deadline is there to end a run that hangs, not to measure anything.
func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
  for _ in 0..<1200 {
    if try condition() { return }
    usleep(50_000)
  }
  throw HarnessError("waited in vain until \(what)")
}
