//! `#[tool]` makes a tool of a function.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, FnArg, ItemFn, Lit, LitInt, Meta, Token, Type, parse_macro_input};

/// Makes a tool of a function, asynchronous or not. Beside `fn roll` there is then `fn roll_tool`, which gives a
/// `FunctionTool`.
///
/// The function's documentation is the tool's description. Its first parameter, if it has one, is a struct that derives
/// `Deserialize` and `JsonSchema`: the arguments. A second one is a `&CallContext`. What it returns is anything that
/// implements `IntoOutcome`: a text, `Json(value)`, a `Content`, a `ToolOutcome`, or a `Result` of one of them.
///
/// The attribute says what a call may do, in the policy's words: `#[tool(write, network, irreversible, idempotent,
/// timeout_ms = 5000)]`. Without a word it only reads.
#[proc_macro_attribute]
pub fn tool(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let settings = parse_macro_input!(attributes as Settings);
    let function = parse_macro_input!(item as ItemFn);
    expand(&settings, &function).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// What the attribute says.
#[derive(Default)]
struct Settings {
    write: bool,
    network: bool,
    irreversible: bool,
    idempotent: bool,
    timeout_ms: Option<LitInt>,
}

impl Parse for Settings {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut settings = Self::default();
        for meta in Punctuated::<Meta, Token![,]>::parse_terminated(input)? {
            let name = meta.path().get_ident().map(ToString::to_string).unwrap_or_default();
            match (&meta, name.as_str()) {
                (Meta::Path(_), "write") => settings.write = true,
                (Meta::Path(_), "network") => settings.network = true,
                (Meta::Path(_), "irreversible") => settings.irreversible = true,
                (Meta::Path(_), "idempotent") => settings.idempotent = true,
                (Meta::NameValue(pair), "timeout_ms") => match &pair.value {
                    Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
                        settings.timeout_ms = Some(number.clone());
                    }
                    other => return Err(Error::new(other.span(), "a number of milliseconds")),
                },
                _ => {
                    return Err(Error::new(
                        meta.span(),
                        "a tool may be: write, network, irreversible, idempotent, timeout_ms = 5000",
                    ));
                }
            }
        }
        Ok(settings)
    }
}

fn expand(settings: &Settings, function: &ItemFn) -> syn::Result<Tokens> {
    let signature = &function.sig;
    if let Some(generics) = signature.generics.params.first() {
        return Err(Error::new(generics.span(), "a tool has one schema: it cannot be generic"));
    }
    let description = documentation(function);
    if description.is_empty() {
        let message = "the documentation of a tool is what a model reads: say what it does";
        return Err(Error::new(signature.ident.span(), message));
    }
    let mut types = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Typed(typed) => types.push(&*typed.ty),
            FnArg::Receiver(receiver) => {
                return Err(Error::new(receiver.span(), "a tool is a function without `self`"));
            }
        }
    }
    let (name, visibility) = (&signature.ident, &function.vis);
    let (arguments, call) = match types.as_slice() {
        [] => (quote!(::sojourn_tools::NoArguments), quote!(#name())),
        [Type::Reference(_)] => (quote!(::sojourn_tools::NoArguments), quote!(#name(&context))),
        [arguments] => (quote!(#arguments), quote!(#name(arguments))),
        [arguments, Type::Reference(_)] => (quote!(#arguments), quote!(#name(arguments, &context))),
        [_, other, ..] => {
            let message = "a tool takes one struct of arguments, and perhaps a `&CallContext`";
            return Err(Error::new(other.span(), message));
        }
    };
    let awaited = signature.asyncness.map(|_| quote!(.await));
    let timeout = settings.timeout_ms.as_ref().map(|number| quote!(.with_timeout_ms(#number)));
    let Settings { write, network, irreversible, idempotent, .. } = settings;
    let maker = format_ident!("{name}_tool");
    let text = name.to_string();
    let about = format!("The tool `{name}`.");
    Ok(quote! {
        // Arguments are a tool's own, and a tool may be asynchronous one day.
        #[allow(clippy::needless_pass_by_value, clippy::unused_async)]
        #function

        #[doc = #about]
        #visibility fn #maker() -> ::sojourn_tools::FunctionTool {
            let effects = ::sojourn_tools::Effects {
                write: #write,
                network: #network,
                irreversible: #irreversible,
                idempotent: #idempotent,
            };
            ::sojourn_tools::FunctionTool::new(#text, #description, effects, |arguments: #arguments, context| async move {
                let _ = (&arguments, &context);
                #call #awaited
            })
            #timeout
        }
    })
}

/// The function's documentation on one line.
fn documentation(function: &ItemFn) -> String {
    let lines = function.attrs.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}
