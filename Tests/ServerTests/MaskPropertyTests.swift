import Foundation
import Testing

extension ServerTests {
  /// Whatever a masked subject says, it gets no real value, and what it gets does not depend on real values.
  ///
  /// WARDEN_PROPERTY_SECONDS runs for so long instead of `rounds`; WARDEN_PROPERTY_SEED runs one seed again.
  @Suite struct MaskPropertyTests {
    static let rounds = 1200
    private nonisolated(unsafe) static let worlds = Result { try MaskedSessions() }
    let sessions: MaskedSessions
    private let environment = ProcessInfo.processInfo.environment

    init() throws {
      sessions = try Self.worlds.get()
    }

    private var seed: UInt64 {
      environment["WARDEN_PROPERTY_SEED"].flatMap(UInt64.init) ?? UInt64.random(in: 0...UInt64.max)
    }

    /// Is another round due?
    private func deadline() -> (Int) -> Bool {
      guard let seconds = environment["WARDEN_PROPERTY_SECONDS"].flatMap(Double.init) else {
        return { $0 < Self.rounds }
      }
      let end = Date(timeIntervalSinceNow: seconds)
      return { _ in Date() < end }
    }

    @Test func noStatementTellsARealValue() throws {
      let seed = seed
      var queries = MaskedQueries(seed: seed)
      var tally = Tally()
      let isDue = deadline()
      var number = 0
      while isDue(number), tally.findings.count < 20 {
        number += 1
        let round = queries.round()
        let outcomes = try sessions.run(round)
        tally.count(round, outcomes)
        for outcome in outcomes {
          if let mark = sessions.worlds.mark(in: outcome.text) { tally.found("shows \(mark)", round, outcomes) }
        }
        if round.isComparable, outcomes[0].rows != outcomes[1].rows {
          tally.found("depends on real values", round, outcomes)
        }
      }
      let findings = tally.findings.joined(separator: "\n\n")
      #expect(tally.findings.isEmpty, "seed \(seed), \(number) rounds:\n\(findings)")
      #expect(tally.share > 0.5, "seed \(seed): most statements fail, which shows nothing:\n\(tally)")
      // What breaks a constraint is meant to fail.
      #expect(
        tally.doors.allSatisfy { $1.worked > 0 || $1.tried < 20 || $0 == "constraint" },
        "seed \(seed): a door is shut:\n\(tally)")
      let told = sessions.loggedMarks()
      #expect(told.isEmpty, "seed \(seed), in the server's log:\n\(told.prefix(5).joined(separator: "\n"))")
      if environment["WARDEN_PROPERTY_SECONDS"] != nil { print("seed \(seed), \(number) rounds\n\(tally)") }
    }

    /// Row for row: what a query gets of a table is what it gets of the table's masking view.
    @Test func masksAreThoseOfTheView() throws {
      let seed = seed
      var queries = MaskedQueries(seed: seed)
      var worked = 0
      for _ in 0..<300 {
        let (table, sql) = queries.ofOneTable()
        let real = sessions.query(sql.replacing("T t", with: "\(table) t"))
        let view = sessions.query(sql.replacing("T t", with: "warden_views.\(MaskWorlds.names[0])__\(table) t"))
        #expect(real.rows == view.rows, "seed \(seed): \(sql), T = \(table)")
        if real.worked, real.rows.count > 1 { worked += 1 }
      }
      #expect(worked > 100, "seed \(seed): only \(worked) queries gave anything to compare")
    }

    /// The same statements of the owner do show real values: there is something to find.
    @Test func ownersStatementsTellRealValues() throws {
      var queries = MaskedQueries(seed: 1)
      let owner = try sessions.connect(MaskWorlds.owner, 0)
      var shown = 0
      for _ in 0..<200 {
        let outcome = try sessions.run(queries.round(), on: owner)
        if sessions.worlds.mark(in: outcome.text) != nil { shown += 1 }
      }
      #expect(shown > 40)
    }
  }
}

/// What came of the rounds.
private struct Tally: CustomStringConvertible {
  var doors: [String: (tried: Int, worked: Int)] = [:]
  var findings: [String] = []

  mutating func count(_ round: MaskedQueries.Round, _ outcomes: [MaskedSessions.Outcome]) {
    doors[round.door, default: (0, 0)].tried += 1
    if outcomes.allSatisfy(\.worked) { doors[round.door]?.worked += 1 }
  }

  mutating func found(_ what: String, _ round: MaskedQueries.Round, _ outcomes: [MaskedSessions.Outcome]) {
    let seen = zip(outcomes[0].rows, outcomes[1].rows).first { $0 != $1 }.map { "\n  one: \($0)\n  two: \($1)" } ?? ""
    findings.append("\(round.door) \(what): \(round.steps.joined(separator: ";\n  "))\(seen)")
  }

  var share: Double {
    let (tried, worked) = doors.values.reduce((0, 0)) { ($0.0 + $1.tried, $0.1 + $1.worked) }
    return tried == 0 ? 0 : Double(worked) / Double(tried)
  }

  var description: String {
    doors.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.worked) of \($0.value.tried) worked" }.joined(
      separator: "\n")
  }
}
