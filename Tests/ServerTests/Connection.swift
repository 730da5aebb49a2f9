import CLibpq

/// An error as the server sent it. `sqlstate` is empty where the connection itself was lost.
struct ServerError: Error, Equatable {
  let sqlstate: String
  let message: String
  let detail: String
  let hint: String
  let context: String

  /// Everything that reaches the client.
  var text: String { [message, detail, hint, context].joined(separator: "\n") }
}

/// What a statement returned.
struct Rows {
  var columns: [String] = []
  var rows: [[String?]] = []
  /// What COPY … TO STDOUT sent.
  var copied = ""
  /// Rows that the command tag counts.
  var affected = 0

  /// First column of the first row.
  var value: String? { rows.first?.first ?? nil }

  /// All that a client got to see, for searching.
  var text: String {
    rows.map { $0.map { $0 ?? "NULL" }.joined(separator: "|") }.joined(separator: "\n") + copied
  }

  /// Rows by column name.
  var records: [[String: String]] {
    rows.map { row in
      Dictionary(uniqueKeysWithValues: zip(columns, row).compactMap { name, value in value.map { (name, $0) } })
    }
  }
}

/// A libpq connection; closed with its last reference.
final class Connection {
  private let handle: OpaquePointer
  private var notices: [String] = []

  init(_ parameters: [String: String]) throws {
    let keywords = CStrings(parameters.keys.map { $0 })
    let values = CStrings(parameters.keys.map { parameters[$0] })
    guard let handle = PQconnectdbParams(keywords.pointer, values.pointer, 0) else {
      throw HarnessError("libpq: out of memory")
    }
    guard PQstatus(handle) == CONNECTION_OK else {
      let message = String(cString: PQerrorMessage(handle))
      PQfinish(handle)
      throw ServerError(sqlstate: "", message: message, detail: "", hint: "", context: "")
    }
    self.handle = handle
    // Notices would mingle with the report of the tests.
    PQsetNoticeProcessor(handle, { _, _ in }, nil)
  }

  deinit { PQfinish(handle) }

  /// From now on `takeNotices` has what the server sends besides results, with details.
  func keepNotices() {
    let keep: PQnoticeReceiver = { connection, result in
      guard let connection, let result else { return }
      let notice = ServerError(result).text
      Unmanaged<Connection>.fromOpaque(connection).takeUnretainedValue().notices.append(notice)
    }
    PQsetNoticeReceiver(handle, keep, Unmanaged.passUnretained(self).toOpaque())
  }

  func takeNotices() -> [String] {
    defer { notices = [] }
    return notices
  }

  var processID: Int32 { PQbackendPID(handle) }
  var isOpen: Bool { PQstatus(handle) == CONNECTION_OK }

  // MARK: Statements

  /// Runs one or more statements; the last result that has rows. Throws `ServerError`.
  @discardableResult
  func query(_ sql: String) throws -> Rows {
    try send(sql)
    return try receive()
  }

  /// Runs one statement with parameters, by the extended protocol.
  @discardableResult
  func query(_ sql: String, _ parameters: String?...) throws -> Rows {
    let values = CStrings(parameters)
    return try collect {
      PQsendQueryParams(handle, sql, Int32(parameters.count), nil, values.pointer, nil, nil, 0)
    }
  }

  /// The error that the statement fails with; nil where it succeeds.
  func error(_ sql: String) -> ServerError? {
    do {
      try query(sql)
      return nil
    } catch let error as ServerError {
      return error
    } catch {
      return ServerError(sqlstate: "", message: "\(error)", detail: "", hint: "", context: "")
    }
  }

  func copyIn(_ sql: String, _ data: String) throws {
    try send(sql)
    try receive(copyIn: data)
  }

  // MARK: Prepared statements of the protocol

  func prepare(_ name: String, _ sql: String) throws {
    try collect { PQsendPrepare(handle, name, sql, 0, nil) }
  }

  @discardableResult
  func execute(_ name: String, _ parameters: String?...) throws -> Rows {
    let values = CStrings(parameters)
    return try collect {
      PQsendQueryPrepared(handle, name, Int32(parameters.count), values.pointer, nil, nil, 0)
    }
  }

  /// By the protocol's fast path: no statement.
  func unlinkLargeObject(_ number: UInt32) -> Bool { lo_unlink(handle, number) == 1 }

  // MARK: Concurrency

  /// Sends and does not wait; `receive` waits.
  func send(_ sql: String) throws {
    guard PQsendQuery(handle, sql) == 1 else { throw connectionError() }
  }

  @discardableResult
  func receive(copyIn data: String? = nil) throws -> Rows {
    var rows = Rows()
    var failure: ServerError?
    while let result = PQgetResult(handle) {
      defer { PQclear(result) }
      switch PQresultStatus(result) {
      case PGRES_TUPLES_OK: rows = read(result, copied: rows.copied)
      case PGRES_COMMAND_OK: rows.affected = Int(String(cString: PQcmdTuples(result))) ?? rows.affected
      case PGRES_COPY_OUT: rows.copied += copiedData()
      case PGRES_COPY_IN: putCopyData(data)
      case PGRES_EMPTY_QUERY: break
      default: failure = failure ?? ServerError(result)
      }
      // A lost connection yields the same error for ever.
      if !isOpen { break }
    }
    if let failure { throw failure }
    guard isOpen else { throw connectionError() }
    return rows
  }

  /// What NOTIFY has sent on the channels listened to, since last asked.
  func notifications() throws -> [String] {
    try query("SELECT 1")
    var payloads: [String] = []
    while let notification = PQnotifies(handle) {
      payloads.append(String(cString: notification.pointee.extra))
      PQfreemem(notification)
    }
    return payloads
  }

  /// Asks the server to cancel what this connection is doing.
  func cancel() {
    guard let cancel = PQgetCancel(handle) else { return }
    var message = [CChar](repeating: 0, count: 256)
    PQcancel(cancel, &message, Int32(message.count))
    PQfreeCancel(cancel)
  }
}

// MARK: - Results

extension Connection {
  @discardableResult
  private func collect(_ start: () -> Int32) throws -> Rows {
    guard start() == 1 else { throw connectionError() }
    return try receive()
  }

  private func connectionError() -> ServerError {
    ServerError(
      sqlstate: "", message: String(cString: PQerrorMessage(handle)), detail: "", hint: "", context: "")
  }

  private func read(_ result: OpaquePointer, copied: String) -> Rows {
    let columns = 0..<PQnfields(result)
    return Rows(
      columns: columns.map { String(cString: PQfname(result, $0)) },
      rows: (0..<PQntuples(result)).map { row in
        columns.map { column in
          PQgetisnull(result, row, column) == 1 ? nil : String(cString: PQgetvalue(result, row, column))
        }
      },
      copied: copied,
      affected: Int(String(cString: PQcmdTuples(result))) ?? 0)
  }

  private func copiedData() -> String {
    var data = ""
    var line: UnsafeMutablePointer<CChar>?
    while PQgetCopyData(handle, &line, 0) > 0, let text = line {
      data += String(cString: text)
      PQfreemem(text)
    }
    return data
  }

  private func putCopyData(_ data: String?) {
    if let data {
      PQputCopyData(handle, data, Int32(data.utf8.count))
      PQputCopyEnd(handle, nil)
    } else {
      PQputCopyEnd(handle, "the test has no data to copy")
    }
  }
}

extension ServerError {
  init(_ result: OpaquePointer) {
    func field(_ code: Int32) -> String { PQresultErrorField(result, code).map { String(cString: $0) } ?? "" }
    // Errors of libpq itself have no fields.
    let message = field(WARDEN_DIAG_MESSAGE)
    self.init(
      sqlstate: field(WARDEN_DIAG_SQLSTATE),
      message: message.isEmpty ? String(cString: PQresultErrorMessage(result)) : message,
      detail: field(WARDEN_DIAG_DETAIL), hint: field(WARDEN_DIAG_HINT), context: field(WARDEN_DIAG_CONTEXT))
  }
}
