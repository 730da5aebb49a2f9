import Contract
import Foundation
import Testing

@testable import Interceptor

/// Memory that C would own, alive as long as the fixture.
final class Lender {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  func memory(_ count: Int) -> UnsafeMutableRawPointer {
    let block = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 64)
    memset(block, 0xA5, max(count, 1))
    blocks.append(block)
    return block
  }

  func text(_ bytes: [UInt8]) -> WardenText {
    let start = memory(bytes.count).assumingMemoryBound(to: UInt8.self)
    for (index, byte) in bytes.enumerated() { start[index] = byte }
    return WardenText(bytes: start, length: Int64(bytes.count))
  }

  func text(_ string: String?) -> WardenText {
    guard let string else { return WardenText(bytes: nil, length: 0) }
    return text(Array(string.utf8))
  }

  func list<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let start = memory(elements.count * MemoryLayout<Element>.stride).bindMemory(
      to: Element.self, capacity: max(elements.count, 1))
    start.initialize(from: elements, count: elements.count)
    return start
  }

  func buffer(_ capacity: Int) -> WardenBuffer {
    WardenBuffer(
      bytes: memory(capacity).assumingMemoryBound(to: UInt8.self), capacity: Int64(capacity), length: 0)
  }

  struct Access {
    var name = "public.t"
    var kind = "table"
    var oid: UInt32 = 123
    var columns = ["a", "b", "c"]
    var classes: WardenClasses = WARDEN_CLASS_READ
    var read: [Int16] = []
    var written: [Int16] = []
    var masked: [Int16] = []
    var via: String?
    /// By column, numbered from 0 in this order.
    var labels: [(label: String, columns: [Int16])] = []
    var isEncoded = false
  }

  func access(_ access: Access) -> WardenAccess {
    var object = WardenObject(
      catalog: 1259, oid: access.oid, schema: 2200, flags: 0, kind: text(access.kind), name: text(access.name),
      ancestors: nil, ancestor_count: 0, columns: list(access.columns.map { text($0) }),
      column_count: Int64(access.columns.count), encoded: text(nil), labels: nil, label_count: 0, name_hash: 0,
      schema_hash: 0, unconcerned: 0)
    let labels = access.labels.enumerated().flatMap { number, entry in
      entry.columns.map { WardenColumnLabel(number: Int32(number), column: $0, label: text(entry.label)) }
    }
    object.labels = UnsafePointer(list(labels))
    object.label_count = Int64(labels.count)
    if access.isEncoded {
      var encoded = buffer(1024 + 160 * access.columns.count)
      warden_object_encode(&object, &encoded)
      object.encoded = WardenText(bytes: encoded.bytes, length: encoded.length)
    }
    return WardenAccess(
      object: list([object]), classes: access.classes,
      read_columns: list(access.read), read_count: Int64(access.read.count),
      written_columns: list(access.written), written_count: Int64(access.written.count),
      masked_columns: list(access.masked), masked_count: Int64(access.masked.count),
      via: text(access.via), hidden: false, root: text(nil), chain: text(nil), chain_hidden: false,
      inserted_columns: nil, inserted_count: 0, updated_columns: nil, updated_count: 0, after: nil)
  }

  func statement(_ classes: WardenClasses, _ command: String, _ accesses: [Access]) -> UnsafePointer<WardenStatement> {
    let lent = accesses.map { access($0) }
    let statement = WardenStatement(
      classes: classes, command: text(command), accesses: list(lent), access_count: Int64(lent.count),
      drops_extension: false, rows: nil)
    return UnsafePointer(list([statement]))
  }

  func record(
    _ text: String? = "SELECT 1", no: UInt64 = 1, event: WardenEvent = WARDEN_EVENT_STATEMENT,
    outcome: WardenOutcome = WARDEN_OUTCOME_OPEN, subtransaction: UInt32 = 1, limit: Int64 = 16384
  ) -> WardenRecord {
    var record = WardenRecord()
    record.event = event
    record.outcome = outcome
    record.at = 700_000_000_000_000
    record.session = 42
    record.statement_no = no
    record.subtransaction = subtransaction
    record.text = self.text(text)
    record.text_limit = limit
    record.completion = completion()
    return record
  }

  func completion(rows: Int64 = -1, sqlstate: String = "", error: String? = nil) -> WardenCompletion {
    var completion = WardenCompletion()
    completion.rows = rows
    completion.bytes = rows < 0 ? -1 : rows * 10
    completion.duration = rows < 0 ? -1 : 55
    withUnsafeMutableBytes(of: &completion.sqlstate) { bytes in
      for (index, byte) in sqlstate.utf8.enumerated() where index < 8 { bytes[index] = byte }
    }
    completion.error = text(error)
    return completion
  }
}

/// A ring in memory of its own.
final class TestRing {
  let lender = Lender()
  let ring: UnsafeMutablePointer<WardenRing>
  let data: UnsafeMutablePointer<UInt8>
  let counter: UnsafeMutablePointer<UInt64>

  init(capacity: Int = 65536, counter: UnsafeMutablePointer<UInt64>? = nil) {
    ring = lender.list([WardenRing()])
    ring.pointee.capacity = UInt64(capacity)
    data = lender.memory(capacity).assumingMemoryBound(to: UInt8.self)
    self.counter = counter ?? lender.list([UInt64(1)])
  }

  var reference: WardenRingRef { WardenRingRef(ring: ring, data: data) }

  @discardableResult
  func append(_ record: WardenRecord) -> Int64 {
    withUnsafePointer(to: record) { warden_ring_append(ring, data, counter, $0) }
  }

  func complete(
    _ position: Int64, _ completion: WardenCompletion, _ outcome: WardenOutcome = WARDEN_OUTCOME_OPEN
  ) -> Bool {
    withUnsafePointer(to: completion) { warden_ring_complete(ring, data, position, $0, outcome) }
  }

  func resolve(
    _ position: Int64, first: UInt64 = 1, subtransaction: UInt32 = 1, _ outcome: WardenOutcome,
    goesOn: Bool = false
  ) -> ClosedRange<UInt64>? {
    var unresolved = WardenUnresolved(first: 77, last: 77)
    warden_ring_resolve(ring, data, position, first, subtransaction, outcome, goesOn, &unresolved)
    return unresolved.first == 0 ? nil : unresolved.first...unresolved.last
  }

  func waiting(after last: UInt64) -> WardenWaiting? {
    var waiting = WardenWaiting(seq: 77, at: 77)
    return warden_ring_waiting(ring, data, last, &waiting) ? waiting : nil
  }
}

/// What the writer sees.
struct Collected {
  var ready: Int
  var hole: Bool
  var damaged: Int64
  var highest: UInt64
  var rows: [Row]
}

func collect(_ rings: [TestRing], from first: UInt64 = 1, capacity: Int = 4096) -> Collected {
  var references = rings.map { $0.reference }
  var records = [UnsafePointer<UInt8>?](repeating: nil, count: capacity)
  var collected = WardenCollected()
  warden_drain_collect(&references, Int64(references.count), first, &records, Int64(capacity), &collected)
  let rows = records.prefix(Int(collected.ready)).map { decode($0!)! }
  return Collected(
    ready: Int(collected.ready), hole: collected.hole, damaged: collected.damaged,
    highest: collected.highest, rows: Array(rows))
}

func release(_ rings: [TestRing], upTo last: UInt64) {
  var references = rings.map { $0.reference }
  warden_drain_release(&references, Int64(references.count), last)
}

/// The words for the letters of a row, as docs/audit-format.md and the views have them.
let eventWords = words([
  "s": "statement", "c": "connect", "d": "disconnect", "f": "auth_failed", "t": "transaction", "p": "policy",
  "r": "request", "v": "decision", "a": "alert", "b": "break_glass", "g": "gap",
])
let outcomeWords = words([
  "o": "open", "c": "committed", "r": "rolled_back", "f": "failed", "b": "blocked", "i": "interrupted",
])

private func words(_ letters: [Character: String]) -> [UInt8: String] {
  var words: [UInt8: String] = [:]
  for (letter, word) in letters { words[letter.asciiValue ?? 0] = word }
  return words
}

/// A row whose texts are copies.
struct Row {
  var seq: UInt64
  var statementNo: UInt64
  var session: UInt64
  var rows: Int64
  var duration: Int64
  var texts: [String: String]

  subscript(name: String) -> String? { texts[name] }

  init(_ row: WardenAuditRow) {
    seq = row.seq
    statementNo = row.statement_no
    session = row.session
    rows = row.rows
    duration = row.duration
    texts = [:]
    texts["event"] = eventWords[row.event]
    texts["outcome"] = outcomeWords[row.outcome]
    var context = WardenAuditContext()
    _ = warden_context_decode(row.context, &context)
    let fields: [(String, WardenText)] = [
      ("class", row.statement_class), ("command", row.command), ("statement", row.statement),
      ("decision", row.decision), ("guard", row.guard), ("sqlstate", row.sqlstate),
      ("error", row.error), ("access", row.access), ("parameters", row.parameters), ("database", context.database),
      ("session_user", context.session_user),
      ("role", context.role), ("identity", context.identity), ("agent", context.agent),
      ("application", context.application),
      ("client_address", context.client_address), ("environment", context.environment), ("intent", context.intent),
      ("ticket", context.ticket), ("run", context.run),
    ]
    for (name, text) in fields {
      if let string = spoolString(text) { texts[name] = string }
    }
  }
}

func spoolString(_ text: WardenText) -> String? {
  guard let bytes = text.bytes else { return nil }
  return String(decoding: UnsafeBufferPointer(start: bytes, count: Int(text.length)), as: UTF8.self)
}

func decode(_ record: UnsafePointer<UInt8>, length: Int64 = 1 << 24, scratch: Int = 65536) -> Row? {
  let lender = Lender()
  var buffer = lender.buffer(scratch)
  var row = WardenAuditRow()
  let length = min(length, Int64(UnsafeRawPointer(record).load(as: UInt32.self)))
  return warden_record_decode(record, length, &buffer, &row) ? Row(row) : nil
}

/// The text that the audit keeps of a statement.
func recorded(_ statement: String, hasSecret: Bool = false, limit: Int64 = 16384) -> String? {
  let ring = TestRing()
  var record = ring.lender.record(statement, limit: limit)
  record.has_secret = hasSecret
  guard ring.append(record) >= 0 else { return nil }
  return collect([ring]).rows.first?["statement"]
}

/// The same numbers each run.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
