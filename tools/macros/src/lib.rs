//! The attribute `#[tool]`, which turns a function into a Sojourn tool. Use it through `sojourn_tools::tool`.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprLit, FnArg, ItemFn, Lit, LitInt, Meta, Token, Type, parse_macro_input};

/// Turns a function, async or not, into a tool. For `fn roll` it adds `fn roll_tool`, which returns a
/// `FunctionTool`.
///
/// The function's documentation becomes the tool's description for the model. The first parameter, if any,
/// holds the arguments: a struct that derives `Deserialize` and `JsonSchema`. The second may be a
/// `&CallContext`. The return type implements `IntoOutcome`: text, `Json(value)`, a `Content`, a
/// `ToolOutcome`, or a `Result` of one of them.
///
/// The attribute declares effects and the time limit: `#[tool(write, network, irreversible, idempotent,
/// timeout_ms = 5000)]`. Without arguments the tool only reads.
#[proc_macro_attribute]
pub fn tool(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let settings = parse_macro_input!(attributes as Settings);
    let function = parse_macro_input!(item as ItemFn);
    expand(&settings, &function).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Parsed attribute arguments.
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
                    other => {
                        return Err(Error::new(other.span(), "`timeout_ms` needs a number of milliseconds"));
                    }
                },
                _ => {
                    return Err(Error::new(
                        meta.span(),
                        "`#[tool]` accepts: write, network, irreversible, idempotent, timeout_ms = 5000",
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
        return Err(Error::new(generics.span(), "a tool cannot be generic: it needs one schema"));
    }
    let description = documentation(function);
    if description.is_empty() {
        let message = "a tool needs a doc comment: it is the description that the model reads";
        return Err(Error::new(signature.ident.span(), message));
    }
    let mut types = Vec::new();
    for input in &signature.inputs {
        match input {
            FnArg::Typed(typed) => types.push(&*typed.ty),
            FnArg::Receiver(receiver) => {
                return Err(Error::new(receiver.span(), "a tool cannot take `self`"));
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
            let message = "a tool takes one argument struct and optionally a `&CallContext`";
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
        // A tool takes its arguments by value, and its signature may stay async without need.
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

/// The function's documentation as one line.
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
