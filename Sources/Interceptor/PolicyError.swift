/// The SQLSTATEs that the core raises.
enum SQLState {
  case insufficientPrivilege
  case approvalRequired
  case invalidParameter
  case undefinedObject
  case notSupported
  case internalError
  /// configuration_limit_exceeded
  case limitExceeded

  var code: StaticString {
    switch self {
    case .insufficientPrivilege: "42501"
    case .approvalRequired: "WD001"
    case .invalidParameter: "22023"
    case .undefinedObject: "42704"
    case .notSupported: "0A000"
    case .internalError: "XX000"
    case .limitExceeded: "53400"
    }
  }
}

/// A row of a policy, or the definition of a mask, that is not valid.
struct PolicyError: Error {
  let state: SQLState
  let message: Message
  let hint: Message

  init(_ state: SQLState, _ message: Message, hint: Message) {
    self.state = state
    self.message = message
    self.hint = hint
  }

  /// `opening` continued by the bad value in double quotes.
  init(_ state: SQLState, _ opening: StaticString, _ value: [UInt8], hint: StaticString) {
    self.init(state, Message(opening, quoting: value), hint: Message(hint))
  }

  init(_ state: SQLState, _ opening: StaticString, _ value: TextView, hint: StaticString) {
    self.init(state, opening, value.copy, hint: hint)
  }

  init(_ state: SQLState, _ message: StaticString, hint: StaticString) {
    self.init(state, Message(message), hint: Message(hint))
  }
}
