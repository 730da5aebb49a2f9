/// The SQLSTATEs that the core raises.
enum SQLState {
  case insufficientPrivilege
  case approvalRequired
  case invalidParameter
  case undefinedObject
  case notSupported
  case internalError

  var code: StaticString {
    switch self {
    case .insufficientPrivilege: "42501"
    case .approvalRequired: "WD001"
    case .invalidParameter: "22023"
    case .undefinedObject: "42704"
    case .notSupported: "0A000"
    case .internalError: "XX000"
    }
  }
}

/// A row of a policy, or the definition of a mask, that is not valid.
struct PolicyError: Error {
  let state: SQLState
  let message: [UInt8]
  let hint: [UInt8]

  /// `message` continued by the bad value in double quotes.
  init(_ state: SQLState, _ message: StaticString, _ value: [UInt8], hint: [UInt8]) {
    var text = [UInt8](message)
    text.append(" \"")
    text.append(contentsOf: value.prefix(PolicyError.longestValue))
    text.append("\"")
    self.state = state
    self.message = text
    self.hint = hint
  }

  init(_ state: SQLState, _ message: StaticString, _ value: TextView, hint: StaticString) {
    self.init(state, message, value.copy, hint: [UInt8](hint))
  }

  init(_ state: SQLState, _ message: StaticString, hint: StaticString) {
    self.state = state
    self.message = [UInt8](message)
    self.hint = [UInt8](hint)
  }

  private static let longestValue = 200
}
