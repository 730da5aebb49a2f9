/// A masked subject's sessions, one in each world of `MaskWorlds`.
final class MaskedSessions {
  let worlds: MaskWorlds
  private let cluster: Cluster
  private let logged: Int
  private var readers: [Connection] = []
  private static let database = "masked_worlds"

  init() throws {
    cluster = try Clusters.governed()
    logged = cluster.log().utf8.count
    var random = SplitMix(seed: UInt64.random(in: 0...UInt64.max))
    worlds = MaskWorlds(&random)
    try cluster.connect().query("CREATE DATABASE \(Self.database)")
    let admin = try cluster.connect(database: Self.database)
    try admin.query("CREATE EXTENSION pg_warden")
    try admin.query(MaskWorlds.roles)
    for world in MaskWorlds.names.indices {
      try admin.query(worlds.make(world))
      readers.append(try connect(MaskWorlds.reader, world))
    }
  }

  func connect(_ role: String, _ world: Int) throws -> Connection {
    let path = "-c search_path=\(MaskWorlds.names[world])"
    let connection = try cluster.connect(
      role: role, database: Self.database, options: ([path] + worlds.guesses).joined(separator: " "))
    connection.keepNotices()
    return connection
  }

  /// What a client got.
  struct Outcome {
    /// One for each row, sorted, for each step; at the end the error, where there is one.
    var rows: [String] = []
    var worked = true
    var text: String { rows.joined(separator: "\n") }
  }

  /// In both worlds.
  func run(_ round: MaskedQueries.Round) throws -> [Outcome] {
    try zip(readers, MaskWorlds.names).map { reader, name in
      var outcome = try run(round, on: reader)
      outcome.rows = outcome.rows.map {
        $0.replacing("\(name).", with: "").replacing(name, with: "world").replacing(/pg_temp_\d+/, with: "pg_temp")
      }
      return outcome
    }
  }

  func run(_ round: MaskedQueries.Round, on connection: Connection) throws -> Outcome {
    try connection.query("BEGIN")
    defer { _ = try? connection.query("ROLLBACK") }
    return outcome(connection) {
      guard round.isPrepared, let query = round.steps.first else {
        return try round.steps.map { try connection.query($0) }
      }
      try connection.prepare("", query)
      return [try connection.execute(""), try connection.execute("")]
    }
  }

  /// One query in the first world.
  func query(_ sql: String) -> Outcome {
    outcome(readers[0]) { [try readers[0].query(sql)] }
  }

  private func outcome(_ connection: Connection, _ work: () throws -> [Rows]) -> Outcome {
    var outcome = Outcome()
    do {
      for rows in try work() {
        // Where a row comes is where it lies, which masks do not hide.
        outcome.rows += rows.rows.map { $0.map { $0 ?? "NULL" }.joined(separator: "|") }.sorted()
        outcome.rows += rows.copied.split(separator: "\n").map(String.init).sorted()
      }
    } catch {
      outcome.worked = false
      outcome.rows.append((error as? ServerError).map { "\($0.sqlstate) \($0.text)" } ?? "\(error)")
    }
    outcome.rows += connection.takeNotices().sorted()
    return outcome
  }

  /// Lines of the server's log, since these sessions began, with a mark in them.
  func loggedMarks() -> [String] {
    cluster.log().utf8.dropFirst(logged).split(separator: UInt8(ascii: "\n")).map {
      String(decoding: $0, as: UTF8.self)
    }
    .filter { worlds.mark(in: $0) != nil }
  }
}
