import Foundation

extension PhoneError {
    /// The sentence of an error, in both languages, with its stable code.
    public var said: Sentence {
        explainError(error: self)
    }

    /// The stable code of an error.
    public var kind: String {
        said.code
    }
}

extension Sentence {
    /// Chinese where the system speaks Chinese, otherwise English.
    public func text(_ locale: Locale = .current) -> String {
        locale.language.languageCode == .chinese ? zh : en
    }
}

extension Words {
    /// Chinese where the system speaks Chinese, otherwise English.
    public func text(_ locale: Locale = .current) -> String {
        locale.language.languageCode == .chinese ? zh : en
    }
}
