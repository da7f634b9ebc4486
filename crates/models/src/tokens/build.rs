//! Puts a tokenizer together from files of before `tokenizer.json`, as transformers' classes do.

use super::charsmap::CharsMap;
use super::prepare::Prepare;
use super::sentencepiece::{Algorithm, Role, SentencePiece};
use crate::error::ModelError;
use base64::Engine as _;
use sightline_model_folder::{MoreToken, TokenizerFiles, TokenizerForm};
use std::fs;
use std::path::Path;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{self, BertNormalizer, Lowercase, NFC, Precompiled, Replace};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, SplitDelimiterBehavior, Tokenizer};

/// What SentencePiece writes for a space.
pub(super) const SPACE: char = '▁';
const CLIP_WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

type Built<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A tokenizer of these files, and what is done to a text before it.
pub(super) fn build(files: &TokenizerFiles) -> Result<(Tokenizer, Prepare), ModelError> {
    let path = &files.vocabulary;
    let bytes = fs::read(path).map_err(|source| ModelError::Read {
        path: path.clone(),
        source,
    })?;
    let merges = files.merges.as_deref();
    let built = match &files.form {
        TokenizerForm::Whole => whole(&bytes),
        TokenizerForm::WholeWordPiece {
            lowercase,
            split_chinese,
            strip_accents,
        } => whole(&bytes).map(|(mut tokenizer, prepare)| {
            // As transformers has it: the class's settings go before the file's.
            if let Some(NormalizerWrapper::BertNormalizer(of_file)) = tokenizer.get_normalizer() {
                let clean = of_file.clean_text;
                let own = BertNormalizer::new(clean, *split_chinese, *strip_accents, *lowercase);
                tokenizer.with_normalizer(Some(own));
            }
            (tokenizer, prepare)
        }),
        TokenizerForm::WordPiece {
            lowercase,
            split_chinese,
            strip_accents,
        } => {
            let normalizer = BertNormalizer::new(true, *split_chinese, *strip_accents, *lowercase);
            word_piece(&bytes, normalizer).map(|tokenizer| (tokenizer, Prepare::Nothing))
        }
        TokenizerForm::Clip => clip(path, merges).map(|tokenizer| (tokenizer, Prepare::Nothing)),
        TokenizerForm::Roberta { add_prefix_space } => {
            roberta(path, merges, *add_prefix_space).map(|tokenizer| (tokenizer, Prepare::Nothing))
        }
        TokenizerForm::XlmRoberta => xlm_roberta(&bytes).map(|tokenizer| (tokenizer, Prepare::Nothing)),
        TokenizerForm::Siglip { lowercase } => siglip(&bytes, *lowercase),
        TokenizerForm::Gemma { lowercase, begin, end } => gemma(&bytes, *begin, *end).map(|tokenizer| {
            let prepare = if *lowercase {
                Prepare::Lowercase
            } else {
                Prepare::Nothing
            };
            (tokenizer, prepare)
        }),
    };
    let (mut tokenizer, prepare) = built.map_err(|error| ModelError::Tokenizer {
        path: path.clone(),
        detail: error.to_string(),
    })?;
    // Those that it holds already stay as they are.
    let added: Vec<AddedToken> = files.added.iter().map(more).collect();
    tokenizer.add_tokens(&added);
    Ok((tokenizer, prepare))
}

fn more(token: &MoreToken) -> AddedToken {
    AddedToken::from(token.content.clone(), token.special)
        .lstrip(token.lstrip)
        .rstrip(token.rstrip)
        .single_word(token.single_word)
        .normalized(token.normalized)
}

fn word_piece(bytes: &[u8], normalizer: BertNormalizer) -> Built<Tokenizer> {
    let model = WordPiece::builder()
        .vocab(WordPiece::read_bytes(bytes)?)
        .unk_token("[UNK]".to_owned())
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(normalizer))
        .with_pre_tokenizer(Some(BertPreTokenizer));
    frame(&mut tokenizer, &["[CLS]"], &["[SEP]"])?;
    mark(&mut tokenizer, &["[PAD]", "[UNK]", "[MASK]"]);
    Ok(tokenizer)
}

fn clip(vocabulary: &Path, merges: Option<&Path>) -> Built<Tokenizer> {
    let (vocab, merges) = byte_pairs(vocabulary, merges)?;
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .end_of_word_suffix("</w>".to_owned())
        .unk_token("<|endoftext|>".to_owned())
        .build()?;
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    let words = SplitPattern::Regex(CLIP_WORDS.to_owned());
    let words = Split::new(words, SplitDelimiterBehavior::Removed, true)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer
        .with_normalizer(Some(normalizers::Sequence::new(vec![
            NFC.into(),
            spaces.into(),
            Lowercase.into(),
        ])))
        .with_pre_tokenizer(Some(Sequence::new(vec![
            words.into(),
            ByteLevel::new(false, true, true).into(),
        ])));
    frame(&mut tokenizer, &["<|startoftext|>"], &["<|endoftext|>"])?;
    Ok(tokenizer)
}

fn roberta(vocabulary: &Path, merges: Option<&Path>, add_prefix_space: bool) -> Built<Tokenizer> {
    let (vocab, merges) = byte_pairs(vocabulary, merges)?;
    let model = BPE::builder().vocab_and_merges(vocab, merges).build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(add_prefix_space, true, true)));
    frame(&mut tokenizer, &["<s>"], &["</s>"])?;
    mark(&mut tokenizer, &["<pad>", "<unk>", "<mask>"]);
    Ok(tokenizer)
}

fn byte_pairs(vocabulary: &Path, merges: Option<&Path>) -> Built<(Vocab, Merges)> {
    let (Some(vocabulary), Some(merges)) = (vocabulary.to_str(), merges.and_then(Path::to_str)) else {
        return Err("its path is no UTF-8: move the model".into());
    };
    BPE::read_file(vocabulary, merges)
}

/// fairseq's order of the first pieces instead of the file's own, and a last one for masks.
fn xlm_roberta(bytes: &[u8]) -> Built<Tokenizer> {
    let file = SentencePiece::read(bytes)?;
    only(&file, Algorithm::Unigram)?;
    let mut vocab: Vec<(String, f64)> = ["<s>", "<pad>", "</s>", "<unk>"]
        .map(|text| (text.to_owned(), 0.0))
        .into();
    let pieces = file.pieces.iter().skip(3);
    vocab.extend(pieces.map(|piece| (piece.text.clone(), piece.score)));
    vocab.push(("<mask>".to_owned(), 0.0));
    let mut tokenizer = Tokenizer::new(Unigram::from(vocab, Some(3), false)?);
    if !file.charsmap.is_empty() {
        check_table(&file.charsmap)?;
        let table = Precompiled::from(&file.charsmap).map_err(|error| error.to_string())?;
        tokenizer.with_normalizer(Some(table));
    }
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        WhitespaceSplit.into(),
        Metaspace::new(SPACE, PrependScheme::Always, true).into(),
    ])));
    frame(&mut tokenizer, &["<s>"], &["</s>"])?;
    mark(&mut tokenizer, &["<pad>", "<unk>"]);
    tokenizer.add_special_tokens(&[AddedToken::from("<mask>", true).lstrip(true)]);
    mark_pieces(&mut tokenizer, &file);
    Ok(tokenizer)
}

/// The crate that applies a table panics where it leads out of itself.
fn check_table(table: &[u8]) -> Built<()> {
    let read = CharsMap::read(table).ok_or("its table of characters is cut short")?;
    if !read.is_closed() {
        return Err("its table of characters is damaged: copy the file again".into());
    }
    Ok(())
}

/// A `tokenizer.json`, whose normalizers may hold such tables.
fn whole(bytes: &[u8]) -> Built<(Tokenizer, Prepare)> {
    let described: serde_json::Value = serde_json::from_slice(bytes)?;
    let mut parts: Vec<&serde_json::Value> = described.get("normalizer").into_iter().collect();
    while let Some(part) = parts.pop() {
        let table = part.get("precompiled_charsmap").and_then(serde_json::Value::as_str);
        if let Some(table) = table {
            check_table(&base64::engine::general_purpose::STANDARD.decode(table)?)?;
        }
        parts.extend(
            part.get("normalizers")
                .and_then(serde_json::Value::as_array)
                .into_iter()
                .flatten(),
        );
    }
    Ok((Tokenizer::from_bytes(bytes)?, Prepare::Nothing))
}

fn siglip(bytes: &[u8], lowercase: bool) -> Built<(Tokenizer, Prepare)> {
    let file = SentencePiece::read(bytes)?;
    only(&file, Algorithm::Unigram)?;
    let vocab = file
        .pieces
        .iter()
        .map(|piece| (piece.text.clone(), piece.score))
        .collect();
    let mut tokenizer = Tokenizer::new(Unigram::from(vocab, Some(file.unknown), false)?);
    tokenizer.with_pre_tokenizer(Some(Metaspace::new(SPACE, PrependScheme::Always, true)));
    frame(&mut tokenizer, &[], &["</s>"])?;
    let prepare = Prepare::Siglip {
        lowercase,
        table: CharsMap::read(&file.charsmap).ok_or("its table of characters is cut short")?,
        collapse_spaces: file.collapse_spaces,
    };
    Ok((tokenizer, prepare))
}

fn gemma(bytes: &[u8], begin: bool, end: bool) -> Built<Tokenizer> {
    let file = SentencePiece::read(bytes)?;
    only(&file, Algorithm::Bpe)?;
    let mut vocab = Vocab::default();
    for (id, piece) in (0_u32..).zip(&file.pieces) {
        vocab.insert(piece.text.clone(), id);
    }
    let merges = merges(&file, &vocab);
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .unk_token("<unk>".to_owned())
        .fuse_unk(true)
        .byte_fallback(true)
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    let space = SplitPattern::String(" ".to_owned());
    tokenizer
        .with_normalizer(Some(Replace::new(" ", SPACE.to_string())?))
        .with_pre_tokenizer(Some(Split::new(
            space,
            SplitDelimiterBehavior::MergedWithPrevious,
            false,
        )?));
    frame(
        &mut tokenizer,
        if begin { &["<bos>"] } else { &[] },
        if end { &["<eos>"] } else { &[] },
    )?;
    mark(&mut tokenizer, &["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]);
    mark_pieces(&mut tokenizer, &file);
    Ok(tokenizer)
}

/// Every way to make a piece of two others, in the order of what is made: SentencePiece keeps no merges of its own.
fn merges(file: &SentencePiece, vocab: &Vocab) -> Merges {
    let mut merges = Merges::new();
    for piece in &file.pieces {
        let inner = piece.text.char_indices().skip(1);
        let halves = inner.filter_map(|(place, _)| piece.text.split_at_checked(place));
        let known = halves.filter(|(left, right)| vocab.contains_key(*left) && vocab.contains_key(*right));
        merges.extend(known.map(|(left, right)| (left.to_owned(), right.to_owned())));
    }
    merges
}

fn only(file: &SentencePiece, algorithm: Algorithm) -> Built<()> {
    if file.algorithm == algorithm {
        return Ok(());
    }
    Err(format!(
        "it is of SentencePiece's {:?}, this class of tokenizers of {algorithm:?}",
        file.algorithm
    )
    .into())
}

/// Puts tokens before and behind every text.
fn frame(tokenizer: &mut Tokenizer, before: &[&str], behind: &[&str]) -> Built<()> {
    let mut named = Vec::new();
    for token in before.iter().chain(behind) {
        let id = tokenizer
            .token_to_id(token)
            .ok_or_else(|| format!("it has no token {token}"))?;
        named.push(((*token).to_owned(), id));
    }
    let single: Vec<String> = before
        .iter()
        .chain(&["$A"])
        .chain(behind)
        .map(|part| (*part).to_owned())
        .collect();
    let template = TemplateProcessing::builder()
        .try_single(single)?
        .special_tokens(named)
        .build()?;
    tokenizer.with_post_processor(Some(template));
    mark(tokenizer, before);
    mark(tokenizer, behind);
    Ok(())
}

/// Has tokens found in texts before anything else is; those that the vocabulary lacks are left out.
fn mark(tokenizer: &mut Tokenizer, tokens: &[&str]) {
    let known = tokens.iter().filter(|token| tokenizer.token_to_id(token).is_some());
    let known: Vec<AddedToken> = known.map(|token| AddedToken::from(*token, true)).collect();
    tokenizer.add_special_tokens(&known);
}

fn mark_pieces(tokenizer: &mut Tokenizer, file: &SentencePiece) {
    for piece in file.pieces.iter().filter(|piece| !piece.text.is_empty()) {
        let special = piece.role == Role::Control;
        if piece.role != Role::Text && tokenizer.token_to_id(&piece.text).is_some() {
            let token = AddedToken::from(piece.text.clone(), special).normalized(false);
            tokenizer.add_tokens(&[token]);
        }
    }
}
