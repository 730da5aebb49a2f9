import Foundation
import Testing

/// Sessions that run statements with numbers in them, and remember what the server told them about each: to be compared with
/// the audit afterwards, whatever was killed meanwhile.
final class AuditLoad: @unchecked Sendable {
  enum Kind: Int, CaseIterable { case insert, read, rolledBack, savepoint, refused, nested }

  struct Attempt {
    let mark: Int
    let kind: Kind
    /// The server has said how it ended.
    var isConfirmed = false
  }

  private let lock = NSLock()
  private var isStopping = false
  private var attempts: [Attempt] = []
  private let ended = DispatchSemaphore(value: 0)
  private let sessions: Int
  private let parameters: [String: String]
  /// Each load's own.
  private let application = "load \(Int.random(in: 0..<1 << 40))"

  /// Starts at once.
  init(_ shop: Shop, sessions: Int) throws {
    self.sessions = sessions
    parameters = [
      "host": shop.cluster.socketDirectory, "user": "shop_owner", "dbname": shop.database,
      "application_name": application,
    ]
    try shop.admin.query(
      "SET ROLE shop_owner; CREATE TABLE IF NOT EXISTS shop.load (id int); RESET ROLE")
    for _ in 0..<sessions { Thread { self.run() }.start() }
  }

  /// How many statements the server has answered so far.
  var confirmed: Int { locked { attempts.lazy.filter { $0.isConfirmed }.count } }

  func waitForMore(_ count: Int) throws {
    let goal = confirmed + count
    try waitUntil("\(count) more statements have run") { confirmed >= goal }
  }

  func stop() {
    let wasStopping = locked {
      defer { isStopping = true }
      return isStopping
    }
    guard !wasStopping else { return }
    for _ in 0..<sessions { ended.wait() }
  }

  private func locked<Result>(_ work: () -> Result) -> Result {
    lock.lock()
    defer { lock.unlock() }
    return work()
  }

  private func run() {
    while !locked({ isStopping }) {
      if let connection = try? Connection(parameters) { use(connection) } else { usleep(20_000) }
    }
    ended.signal()
  }

  private func use(_ connection: Connection) {
    while connection.isOpen, !locked({ isStopping }) {
      let attempt = locked {
        let attempt = Attempt(mark: attempts.count, kind: Kind.allCases[attempts.count % Kind.allCases.count])
        attempts.append(attempt)
        return attempt
      }
      let error = connection.error(AuditLoad.statement(attempt))
      let isAsExpected = attempt.kind == .refused ? error?.sqlstate == "42501" : error == nil
      if isAsExpected { locked { attempts[attempt.mark].isConfirmed = true } }
    }
  }

  private static func statement(_ attempt: Attempt) -> String {
    let insert = "INSERT INTO shop.load SELECT \(attempt.mark) AS mark_\(attempt.mark)_"
    return switch attempt.kind {
    case .insert: insert
    case .read: "SELECT \(attempt.mark) AS mark_\(attempt.mark)_"
    case .rolledBack: "BEGIN; \(insert); ROLLBACK"
    case .savepoint: "BEGIN; SAVEPOINT s; \(insert); ROLLBACK TO s; COMMIT"
    case .refused: "DELETE FROM shop.orders AS mark_\(attempt.mark)_"
    case .nested: "DO $$BEGIN EXECUTE '\(insert)'; END$$"
    }
  }

  private static func outcome(_ kind: Kind) -> String {
    switch kind {
    case .insert, .read, .nested: "committed"
    case .rolledBack, .savepoint: "rolled_back"
    case .refused: "blocked"
    }
  }
}

// MARK: - Accounting

extension AuditLoad {
  /// Every statement that the server answered is in the audit exactly once, with its outcome; none is there twice; what has
  /// changed the table is said to have been committed, and nothing else is.
  func expectAccounted(in shop: Shop, sourceLocation: SourceLocation = #_sourceLocation) throws {
    try shop.admin.query("SELECT warden.flush('60 seconds')")
    var outcomes: [Int: [String]] = [:]
    // A DO block has the mark in its text as well as the statement in it: the inner one counts.
    for row in try shop.admin.query(
      """
      SELECT substring(statement FROM 'mark_(\\d+)_'), outcome FROM warden.audit_log
       WHERE event = 'statement' AND application_name = '\(application)' AND statement ~ 'mark_\\d+_' AND command <> 'DO'
      """
    ).rows {
      outcomes[Int(row[0] ?? "") ?? -1, default: []].append(row[1] ?? "")
    }
    let stored = Set(try shop.admin.query("SELECT id FROM shop.load").rows.compactMap { $0[0].flatMap { Int($0) } })
    var complaints: [String] = []
    for attempt in attempts {
      let found = outcomes[attempt.mark] ?? []
      let expected = AuditLoad.outcome(attempt.kind)
      let isRight =
        attempt.isConfirmed
        ? found == [expected]
        : stored.contains(attempt.mark)
          ? found == ["committed"]
          : found.count <= 1 && (expected != "committed" || found != ["committed"] || attempt.kind == .read)
      if !isRight { complaints.append("\(attempt): \(found), stored \(stored.contains(attempt.mark))") }
    }
    #expect(
      complaints.isEmpty, "\(complaints.count) of \(attempts.count): \(complaints.prefix(10))",
      sourceLocation: sourceLocation)
    #expect(outcomes.keys.allSatisfy { $0 >= 0 && $0 < attempts.count }, sourceLocation: sourceLocation)
  }
}
