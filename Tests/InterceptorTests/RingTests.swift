import Contract
import Foundation
import Testing

@testable import Interceptor

/// The ring loses nothing, invents nothing, and never touches memory outside of itself.
@Suite struct RingTests {
  private let committed = WARDEN_OUTCOME_COMMITTED
  private let rolledBack = WARDEN_OUTCOME_ROLLED_BACK

  @Test func wordsOfTheHeaderAreWhereSwiftLooks() {
    #expect(MemoryLayout<WardenRing>.offset(of: \.capacity) == 0)
    #expect(MemoryLayout<WardenRing>.offset(of: \.head) == 64)
    #expect(MemoryLayout<WardenRing>.offset(of: \.writing) == 72)
    #expect(MemoryLayout<WardenRing>.offset(of: \.last_statement) == 88)
    #expect(MemoryLayout<WardenRing>.offset(of: \.tail) == 128)
  }

  @Test func aStatementGoesThroughItsStates() {
    let ring = TestRing()
    let position = ring.append(ring.lender.record())
    #expect(position == 0)
    #expect(ring.ring.pointee.last_statement == 1)
    #expect(ring.ring.pointee.writing == 0)
    #expect(ring.complete(position, ring.lender.completion(rows: 3)))
    #expect(ring.resolve(position, committed) == nil)
    let row = collect([ring]).rows[0]
    #expect(row["outcome"] == "committed")
    #expect(row.rows == 3)
    #expect(row.seq == 1)
  }

  @Test func anErrorIsFinalAndAnOpenStatementFailsWithItsTransaction() {
    let ring = TestRing()
    let failed = ring.append(ring.lender.record(no: 1))
    ring.append(ring.lender.record(no: 2))
    #expect(ring.complete(failed, ring.lender.completion(sqlstate: "23505", error: "duplicate key")))
    #expect(ring.resolve(0, rolledBack) == nil)
    let rows = collect([ring]).rows
    #expect(rows.map { $0["outcome"] } == ["failed", "failed"])
    #expect(rows.map { $0["sqlstate"] } == ["23505", nil])
    #expect(rows[0]["error"] == "duplicate key")
    #expect(rows[1]["error"] == nil)
  }

  @Test func completionMayComeTwice() {
    let ring = TestRing()
    let position = ring.append(ring.lender.record())
    #expect(ring.complete(position, ring.lender.completion(rows: 2)))
    #expect(ring.complete(position, ring.lender.completion(rows: 5)))
    #expect(ring.complete(position, ring.lender.completion(rows: 5, sqlstate: "57014"), WARDEN_OUTCOME_BLOCKED))
    #expect(ring.complete(position, ring.lender.completion(rows: 9)), "final: left as it is")
    let row = collect([ring]).rows[0]
    #expect(row.rows == 5)
    #expect(row["outcome"] == "blocked")
  }

  @Test func subtransactionsEndOnTheirOwn() {
    let ring = TestRing()
    let outer = ring.append(ring.lender.record(no: 1, subtransaction: 1))
    let inner = ring.append(ring.lender.record(no: 2, subtransaction: 2))
    let last = ring.append(ring.lender.record(no: 3, subtransaction: 3))
    for position in [outer, inner, last] { #expect(ring.complete(position, ring.lender.completion(rows: 1))) }
    #expect(ring.resolve(inner, first: 2, subtransaction: 2, rolledBack) == nil)
    #expect(ring.resolve(outer, first: 1, subtransaction: 1, committed) == nil)
    #expect(collect([ring]).rows.map { $0["outcome"] } == ["committed", "rolled_back", "rolled_back"])
  }

  @Test func aStatementThatGoesOnAfterItsCommitIsLeftOpen() {
    let ring = TestRing()
    let outer = ring.append(ring.lender.record(no: 1))
    let inner = ring.append(ring.lender.record(no: 2))
    #expect(ring.complete(inner, ring.lender.completion(rows: 1)))
    #expect(ring.resolve(outer, first: 2, committed, goesOn: true) == nil)
    let later = ring.append(ring.lender.record(no: 3))
    #expect(ring.complete(later, ring.lender.completion(rows: 1)))
    #expect(ring.complete(outer, ring.lender.completion(sqlstate: "22012")))
    #expect(ring.resolve(outer, first: 1, rolledBack) == nil)
    #expect(collect([ring]).rows.map { $0["outcome"] } == ["failed", "committed", "rolled_back"])
  }

  @Test func whatGoesOnIsNotInTheRangeOfItsTransaction() {
    let ring = TestRing()
    let outer = ring.append(ring.lender.record(no: 1))
    ring.append(ring.lender.record(no: 2))
    #expect(collect([ring]).ready == 2)
    #expect(ring.resolve(outer, first: 2, committed, goesOn: true) == 2...2)
    #expect(ring.resolve(outer, first: 1, rolledBack) == 1...1)
  }

  @Test func whatIsTakenIsReportedOnceAsUnresolved() {
    let ring = TestRing()
    let first = ring.append(ring.lender.record(no: 1))
    ring.append(ring.lender.record(no: 2))
    #expect(collect([ring]).rows.map { $0["outcome"] } == ["open", "open"])
    #expect(!ring.complete(first, ring.lender.completion(rows: 1)))
    ring.append(ring.lender.record(no: 3))
    #expect(ring.resolve(first, committed) == 1...2)
    #expect(ring.resolve(first, committed) == nil)
    #expect(collect([ring]).rows.map { $0["outcome"] } == ["open", "open", "committed"], "taken is taken")
  }

  @Test func whatIsReleasedIsReportedByNumber() {
    let ring = TestRing()
    let first = ring.append(ring.lender.record(no: 1))
    ring.append(ring.lender.record(no: 2))
    #expect(collect([ring]).ready == 2)
    release([ring], upTo: 2)
    #expect(ring.ring.pointee.tail == ring.ring.pointee.head)
    #expect(!ring.complete(first, ring.lender.completion(rows: 1)))
    #expect(ring.resolve(first, committed) == 1...2)
    ring.append(ring.lender.record(no: 3))
    #expect(ring.resolve(first, rolledBack) == 1...2)
    #expect(collect([ring], from: 3).rows.map { $0["outcome"] } == ["failed"])
  }

  @Test func aFinalOutcomeThatCameTooLateIsTheAmendmentsAffair() {
    let ring = TestRing()
    let position = ring.append(ring.lender.record())
    _ = collect([ring])
    #expect(!ring.complete(position, ring.lender.completion(sqlstate: "22012")))
    #expect(ring.resolve(position, rolledBack) == nil)
  }

  @Test func anEventOfATransactionIsPartOfIt() {
    let ring = TestRing()
    let first = ring.append(ring.lender.record(no: 1))
    ring.append(ring.lender.record(no: 2, event: WARDEN_EVENT_POLICY))
    #expect(collect([ring]).ready == 2)
    release([ring], upTo: 2)
    #expect(ring.resolve(first, committed) == 1...2, "both are written as open")
    ring.append(ring.lender.record(no: 3, event: WARDEN_EVENT_POLICY))
    #expect(ring.resolve(first, committed) == 1...2, "the third is still in the ring")
  }

  @Test func theOldestWaitingRecordIsKnown() {
    let ring = TestRing()
    #expect(ring.waiting(after: 0) == nil)
    for number in 1...3 { ring.append(ring.lender.record(no: UInt64(number))) }
    #expect(ring.waiting(after: 0)?.seq == 1)
    #expect(ring.waiting(after: 0)?.at == 700_000_000_000_000)
    #expect(ring.waiting(after: 1)?.seq == 2, "in the table, and not freed yet")
    release([ring], upTo: 2)
    #expect(ring.waiting(after: 0)?.seq == 3)
    #expect(ring.waiting(after: 3) == nil)
    ring.ring.pointee.tail = ring.ring.pointee.head &+ 8
    #expect(ring.waiting(after: 0) == nil, "a header that contradicts itself")
  }

  @Test func aFullRingLeavesRoomForAmendments() {
    let ring = TestRing()
    var appended: UInt64 = 0
    while ring.append(ring.lender.record(no: appended + 1)) >= 0 { appended += 1 }
    #expect(ring.append(ring.lender.record()) == WARDEN_RING_FULL)
    #expect(ring.counter.pointee == appended + 1, "no number is taken in vain")
    let free = 65536 - (ring.ring.pointee.head - ring.ring.pointee.tail)
    #expect(free >= 4096)
    var context = [UInt8](repeating: 0x61, count: 4096)
    context[0] = 1
    var amendment = ring.lender.record(nil, event: WARDEN_EVENT_TRANSACTION, outcome: committed)
    amendment.context = ring.lender.text(context)
    amendment.last_statement_no = appended
    #expect(ring.append(amendment) >= 0)
    #expect(ring.append(amendment) >= 0)
    let collected = collect([ring])
    #expect(collected.ready == Int(appended) + 2)
    #expect(collected.rows.last?["event"] == "transaction")
    #expect(collected.rows.last?["outcome"] == "committed")
    release([ring], upTo: UInt64(collected.ready))
    #expect(ring.append(ring.lender.record()) >= 0)
  }

  @Test func recordsWrap() {
    let ring = TestRing()
    var next: UInt64 = 1
    for round in 0..<200 {
      let text = String(repeating: "x", count: (round &* 997) % 9000)
      #expect(ring.append(ring.lender.record(text, no: next)) >= 0)
      let collected = collect([ring], from: next)
      #expect(collected.ready == 1 && collected.damaged == 0)
      #expect(collected.rows[0]["statement"] == text)
      release([ring], upTo: next)
      next += 1
    }
    #expect(ring.ring.pointee.head > 5 * 65536)
  }

  @Test func anEmptyRingStartsOverInWarmMemory() {
    let ring = TestRing(capacity: 1 << 20)
    let text = String(repeating: "x", count: 1000)
    var furthest: UInt64 = 0
    for next in UInt64(1)...5000 {
      let position = ring.append(ring.lender.record(text, no: next))
      #expect(position >= 0)
      furthest = max(furthest, UInt64(position) % (1 << 20))
      let collected = collect([ring], from: next)
      #expect(collected.ready == 1 && collected.damaged == 0)
      release([ring], upTo: next)
    }
    #expect(furthest < 140 << 10)
    #expect(ring.ring.pointee.head == ring.ring.pointee.tail)
    // What is not drained stays: the ring goes on behind it.
    for next in UInt64(5001)...5300 { #expect(ring.append(ring.lender.record(text, no: next)) >= 0) }
    #expect(collect([ring], from: 5001, capacity: 300).ready == 300)
  }

  @Test func anOversizedRecordIsCutToAQuarter() {
    let ring = TestRing()
    let record = ring.lender.record(String(repeating: "y", count: 100_000), limit: 1 << 40)
    #expect(ring.append(record) == 0)
    #expect(ring.ring.pointee.head <= 65536 / 4)
    let text = collect([ring]).rows[0]["statement"]!
    #expect(text.hasSuffix(" of 100000 bytes]"))
    #expect(text.count > 15000)
  }

  struct Damage: Sendable {
    var capacity: UInt64 = 65536
    var head: UInt64 = 800
    var tail: UInt64 = 0
  }

  @Test(arguments: [
    Damage(head: 0, tail: 8), Damage(head: 65536 + 8), Damage(head: 804), Damage(tail: 1),
    Damage(head: UInt64.max & ~7), Damage(head: 1 << 62, tail: 1 << 62), Damage(capacity: 0),
    Damage(capacity: 4096), Damage(capacity: 65537), Damage(capacity: UInt64.max & ~7),
  ])
  func nonsenseInTheHeaderIsFound(_ damage: Damage) {
    let ring = TestRing()
    ring.append(ring.lender.record())
    ring.ring.pointee.capacity = damage.capacity
    ring.ring.pointee.head = damage.head
    ring.ring.pointee.tail = damage.tail
    let head = ring.ring.pointee.head
    #expect(ring.append(ring.lender.record()) == WARDEN_RING_DAMAGED)
    #expect(ring.counter.pointee == 2 && ring.ring.pointee.head == head)
    #expect(!ring.complete(0, ring.lender.completion(rows: 1)))
    #expect(ring.resolve(0, committed) == nil)
    let collected = collect([ring])
    #expect(collected.ready == 0 && collected.damaged == 1)
    release([ring], upTo: 10)
  }

  @Test(arguments: [0, 4, 8, 16]) func aDamagedRecordIsPassedOver(_ offset: Int) {
    let ring = TestRing()
    let other = TestRing(counter: ring.counter)
    ring.append(ring.lender.record(no: 1))
    let second = ring.append(ring.lender.record(no: 2))
    other.append(other.lender.record(no: 1))
    ring.data[Int(second) + offset] ^= 0xFF
    let collected = collect([ring, other])
    #expect(collected.ready == 1 && collected.hole && collected.damaged == 1)
    #expect(!ring.complete(second, ring.lender.completion(rows: 1)))
    #expect(collected.highest == 3)
    release([ring, other], upTo: 1)
    #expect(ring.ring.pointee.tail == ring.ring.pointee.head, "usable again")
    #expect(ring.append(ring.lender.record(no: 3)) >= 0)
    #expect(collect([ring, other], from: 3).ready == 2)
  }

  /// A page of the file that did not arrive when the power failed: what lies behind it is not lost with it.
  @Test(arguments: [0, 4096, 8192]) func recordsBehindALostPageAreFound(_ page: Int) {
    let ring = TestRing()
    var positions: [Int64] = []
    for number in 1...60 { positions.append(ring.append(ring.lender.record(no: UInt64(number)))) }
    memset(ring.data + page, 0, 4096)
    let ends = positions.dropFirst() + [Int64(ring.ring.pointee.head)]
    let lost = zip(positions, ends).filter { $0 < page + 4096 && $1 > page }.count
    #expect(lost > 0 && lost < 20)

    var found: [UInt64] = []
    var next: UInt64 = 1
    while next <= 60 {
      let collected = collect([ring], from: next)
      #expect(collected.highest == 60)
      found += collected.rows.map { $0.seq }
      next += UInt64(collected.ready)
      release([ring], upTo: next - 1)
      if next <= 60 {
        #expect(collected.ready > 0 || collected.hole, "\(next) is missing")
        if collected.ready == 0 { next += 1 }
      }
    }
    #expect(found.count == 60 - lost && Set(found).count == found.count)
    release([ring], upTo: 60)
    #expect(ring.ring.pointee.tail == ring.ring.pointee.head)
    #expect(ring.resolve(0, committed) != nil)
  }

  @Test func statementsBehindALostPageGetTheirOutcome() {
    let ring = TestRing()
    for number in 1...60 { ring.append(ring.lender.record(no: UInt64(number))) }
    memset(ring.data + 4096, 0, 4096)
    #expect(ring.resolve(0, WARDEN_OUTCOME_INTERRUPTED) == nil)
    var rows: [Row] = []
    for first in 1...60 where rows.last?.seq ?? 0 < first { rows += collect([ring], from: UInt64(first)).rows }
    #expect(rows.last?.seq == 60)
    #expect(rows.allSatisfy { $0["outcome"] == "interrupted" })
  }

  /// The data arrived, the header did not: it is as it was before an earlier lap.
  @Test func anOlderHeaderFindsWhatIsLeftOfItsRecords() {
    let ring = TestRing()
    var next: UInt64 = 1
    while ring.append(ring.lender.record(no: next)) >= 0 { next += 1 }
    let old = ring.ring.pointee
    let last = next - 1
    release([ring], upTo: 60)
    for _ in 1...40 {
      #expect(ring.append(ring.lender.record(no: next)) >= 0)
      next += 1
    }
    ring.ring.pointee = old
    // The first records, which are in the table, are overwritten by records of the next lap.
    let collected = collect([ring], from: 61)
    #expect(collected.damaged == 1 && collected.rows.map { $0.seq } == Array(61...last))
  }

  @Test func recordsAreHandedOutInOrderUpToAHole() {
    let first = TestRing()
    let second = TestRing(counter: first.counter)
    for number in 1...10 {
      let ring = number % 3 == 0 ? second : first
      ring.append(ring.lender.record(no: UInt64(number)))
    }
    #expect(collect([first, second]).rows.map { $0.seq } == Array(1...10))
    #expect(collect([first, second], from: 4, capacity: 3).rows.map { $0.seq } == [4, 5, 6])
    first.counter.pointee = 12
    first.append(first.lender.record(no: 12))
    let collected = collect([first, second])
    #expect(collected.ready == 10 && collected.hole)
    #expect(collect([first, second], from: 13).ready == 0)
    #expect(!collect([first, second], from: 13).hole)
    release([first, second], upTo: 10)
    #expect(first.resolve(0, first: 1, committed) == 1...11, "12 is open still, and not taken")
    #expect(collect([first, second], from: 12).rows[0]["outcome"] == "committed")
  }

  @Test func positionsOutOfTheRingAreRefused() {
    let ring = TestRing()
    ring.append(ring.lender.record())
    for position: Int64 in [-1, 1, 4, 8, 1 << 40, Int64.min, Int64.max] {
      #expect(!ring.complete(position, ring.lender.completion(rows: 1)))
    }
    #expect(ring.resolve(Int64.max, committed) == nil)
    #expect(collect([ring]).rows[0]["outcome"] == "open")
  }

  @Test func hostileCountsOfTheDrain() {
    let ring = TestRing()
    ring.append(ring.lender.record())
    var references = [ring.reference]
    var records = [UnsafePointer<UInt8>?](repeating: nil, count: 1)
    var collected = WardenCollected()
    warden_drain_collect(&references, Int64.min, 1, &records, 1, &collected)
    #expect(collected.ready == 0)
    warden_drain_collect(&references, 1, 1, &records, Int64.min, &collected)
    #expect(collected.ready == 0)
    warden_drain_collect(&references, 1, UInt64.max, &records, 1, &collected)
    #expect(collected.ready == 0 && !collected.hole)
    warden_drain_release(&references, -1, 1)
    #expect(ring.ring.pointee.tail == 0)
  }

  @Test(arguments: 1...20) func garbageEverywhereNeverStopsTheDrain(_ seed: Int) {
    var random = SeededGenerator(state: UInt64(seed))
    let ring = TestRing()
    for number in 1...40 { ring.append(ring.lender.record(no: UInt64(number))) }
    let used = Int(ring.ring.pointee.head)
    for _ in 0..<Int.random(in: 1...200, using: &random) {
      ring.data[Int.random(in: 0..<used, using: &random)] = UInt8.random(in: 0...255, using: &random)
    }
    var references = [ring.reference]
    var records = [UnsafePointer<UInt8>?](repeating: nil, count: 64)
    var collected = WardenCollected()
    warden_drain_collect(&references, 1, 1, &records, 64, &collected)
    for record in records.compactMap({ $0 }) { _ = decode(record) }
    _ = ring.resolve(0, committed)
    release([ring], upTo: 100)
    #expect(ring.append(ring.lender.record()) >= 0)
  }

  /// A producer in a thread of its own, with transactions; the consumer drains meanwhile. In the end every statement
  /// is there once, in order, and its outcome is in its record or in an amendment.
  @Test(arguments: [1, 2, 3]) func producersAndAConsumerAtOnce(_ seed: UInt64) throws {
    let statements: UInt64 = 4000
    // The larger ones start over when they are empty.
    let capacity = seed == 1 ? 65536 : 262144
    let first = TestRing(capacity: capacity)
    let rings = [first, TestRing(capacity: capacity, counter: first.counter)]
    let done = DispatchSemaphore(value: 0)
    for (index, ring) in rings.enumerated() {
      nonisolated(unsafe) let ring = ring
      let thread = Thread {
        produce(into: ring, session: UInt64(index + 1), statements: statements, seed: seed &* 31 &+ UInt64(index))
        done.signal()
      }
      thread.start()
    }
    var rows: [Row] = []
    var running = rings.count
    var next: UInt64 = 1
    while true {
      while running > 0, done.wait(timeout: .now()) == .success { running -= 1 }
      let stopped = running == 0
      let collected = collect(rings, from: next, capacity: 128)
      try #require(collected.damaged == 0)
      rows += collected.rows
      next += UInt64(collected.ready)
      release(rings, upTo: next - 1)
      if stopped && collected.ready == 0 { break }
    }
    #expect(rows.map { $0.seq } == Array(1...UInt64(rows.count)))
    for session in 1...UInt64(rings.count) {
      checkOutcomes(rows.filter { $0.session == session }, statements: statements)
    }
  }

  private func checkOutcomes(_ rows: [Row], statements: UInt64) {
    var outcomes: [UInt64: String] = [:]
    var order: [UInt64] = []
    for row in rows {
      if row["event"] == "statement" {
        order.append(row.statementNo)
        outcomes[row.statementNo] = row["outcome"]
      } else {
        let last = UInt64(row["statement"]!)!
        for number in row.statementNo...last where outcomes[number] == "open" { outcomes[number] = row["outcome"] }
      }
    }
    #expect(order == Array(1...statements))
    #expect(outcomes.values.filter { $0 == "open" }.count == 0)
    // Every third transaction rolls back.
    for (number, outcome) in outcomes {
      let expected = (number / 5) % 3 == 0 ? "rolled_back" : "committed"
      if outcome != expected { Issue.record("\(number): \(outcome)") }
    }
  }
}

/// Transactions of five statements, with texts of random length.
private func produce(into ring: TestRing, session: UInt64, statements: UInt64, seed: UInt64) {
  var random = SeededGenerator(state: seed)
  let texts = (0..<8).map { _ in String(repeating: "t", count: Int.random(in: 0...2000, using: &random)) }
  let lender = Lender()
  var records = texts.map { lender.record($0) }
  let completion = lender.completion(rows: 1)
  func append(_ record: WardenRecord) -> Int64 {
    while true {
      let position = ring.append(record)
      if position >= 0 { return position }
      usleep(50)
    }
  }
  var start: Int64 = 0
  var first: UInt64 = 0
  for number in 1...statements {
    let choice = Int.random(in: 0..<records.count, using: &random)
    records[choice].statement_no = number
    records[choice].session = session
    let position = append(records[choice])
    if first == 0 {
      first = number
      start = position
    }
    if Int.random(in: 0...50, using: &random) == 0 { usleep(20) }
    _ = ring.complete(position, completion)
    guard number % 5 == 4 || number == statements else { continue }
    let outcome = (number / 5) % 3 == 0 ? WARDEN_OUTCOME_ROLLED_BACK : WARDEN_OUTCOME_COMMITTED
    if let range = ring.resolve(start, first: first, outcome) {
      let own = Lender()
      var amendment = own.record("\(range.upperBound)", event: WARDEN_EVENT_TRANSACTION, outcome: outcome)
      amendment.session = session
      amendment.statement_no = range.lowerBound
      _ = append(amendment)
    }
    first = 0
  }
}
